/** NestJS on Express. */
import 'reflect-metadata';
import {
  BadRequestException,
  Body,
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  Header,
  HttpCode,
  HttpException,
  Injectable,
  type MiddlewareConsumer,
  Module,
  type NestInterceptor,
  type NestModule,
  Param,
  ParseIntPipe,
  Post,
  Query,
  Redirect,
  Req,
  Res,
  Sse,
  StreamableFile,
  UploadedFile,
  UseInterceptors,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FileInterceptor } from '@nestjs/platform-express';
import type { Request, Response } from 'express';
import { from, map, type Observable } from 'rxjs';
import { listen, type Running } from '../compare.ts';

@Injectable()
class Greeter {
  greet(name: string): string {
    return `Hello ${name}`;
  }
}

@Injectable()
class Wrapping implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((data) => ({ data })));
  }
}

@Controller()
class AppController {
  private readonly greeter: Greeter;

  constructor(greeter: Greeter) {
    this.greeter = greeter;
  }

  @Get()
  hello(): string {
    return this.greeter.greet('world');
  }

  @Get('numbers/:id')
  number(@Param('id', ParseIntPipe) id: number, @Query('q') q?: string): object {
    return { id, q };
  }

  @Get('wrapped')
  @UseInterceptors(Wrapping)
  @Header('X-Wrapped', 'yes')
  async wrapped(): Promise<number[]> {
    return [1, 2, 3];
  }

  @Post('echo')
  @HttpCode(202)
  echo(@Body() body: unknown): unknown {
    return { body };
  }

  @Post('upload')
  @UseInterceptors(FileInterceptor('file'))
  upload(@UploadedFile() file: Express.Multer.File): object {
    return { name: file.originalname, size: file.size };
  }

  @Get('away')
  @Redirect('/numbers/1', 302)
  away(): void {}

  @Get('file')
  file(): StreamableFile {
    return new StreamableFile(Buffer.from('streamed'), {
      type: 'text/plain',
      disposition: 'inline',
    });
  }

  @Sse('events')
  events(): Observable<{ data: unknown }> {
    return from([1, 2, 3]).pipe(map((data) => ({ data: { data } })));
  }

  @Get('express')
  express(@Req() req: Request, @Res() res: Response): void {
    res.status(203).json({ ip: req.ip, url: req.originalUrl, middleware: res.get('x-middleware') });
  }

  @Get('fails')
  fails(): never {
    throw new Error('failed');
  }

  @Get('refuses')
  refuses(): never {
    throw new BadRequestException('refused', { description: 'why' });
  }

  @Get('tea')
  async tea(): Promise<never> {
    throw new HttpException({ short: 'and stout' }, 418);
  }
}

@Module({ controllers: [AppController], providers: [Greeter] })
class AppModule implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer
      .apply((_req: Request, res: Response, next: () => void) => {
        res.set('X-Middleware', 'yes');
        next();
      })
      .forRoutes('{*path}');
  }
}

const create = () => NestFactory.create(AppModule, { logger: false });

export async function make(): Promise<{ node: Awaited<ReturnType<typeof create>> }> {
  return { node: await create() };
}

export async function peer(): Promise<Running> {
  const app = await create();
  await app.init();
  return listen(app.getHttpServer());
}

const json = { 'content-type': 'application/json' };
const file =
  '--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\ntext\r\n--xyz--\r\n';

export const requests = [
  { path: '/' },
  { path: '/', method: 'HEAD' },
  { path: '/numbers/7?q=x' },
  { path: '/numbers/seven' },
  { path: '/wrapped' },
  { path: '/echo', method: 'POST', headers: json, body: '{"a":1}' },
  { path: '/echo', method: 'POST', headers: json, body: '{"a"' },
  {
    path: '/upload',
    method: 'POST',
    headers: { 'content-type': 'multipart/form-data; boundary=xyz' },
    body: file,
  },
  { path: '/away' },
  { path: '/file' },
  { path: '/events' },
  { path: '/express?q' },
  { path: '/fails' },
  { path: '/refuses' },
  { path: '/tea' },
  { path: '/elsewhere' },
];
