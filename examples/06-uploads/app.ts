/**
 * Forms with files: whole, with the large files on disk, and part by part, as they arrive.
 *
 *     npx gyrfalcon start examples/06-uploads/app.ts
 *
 *     curl http://localhost:3000/form -F title=Picture -F 'file=@/etc/hostname'
 *     curl http://localhost:3000/digest -F title=Picture -F 'file=@/etc/hostname'
 */
import { createHash } from 'node:crypto';
import { defineApp, MultipartError, multipart } from 'gyrfalcon';

const megabyte = 1024 * 1024;

export default defineApp({
  routes: {
    '/form': {
      // A file above 1 MiB is on disk by now, until nothing of it is in use any more.
      POST: async (request) => {
        const form = await request.formData({ maxFileBytes: 20 * megabyte });
        const { name, size } = form.get('file') as File;
        return Response.json({ title: form.get('title'), name, size });
      },
    },
    '/digest': {
      // Nothing is kept: a file is read as it comes, and may be as large as the server takes bodies.
      POST: async (request) => {
        const digests: Record<string, string> = {};
        for await (const part of multipart(request, { maxParts: 10 })) {
          if (part.filename === null) continue;
          const hash = createHash('sha256');
          for await (const chunk of part.stream()) hash.update(chunk);
          digests[part.filename] = hash.digest('hex');
        }
        return Response.json(digests);
      },
    },
  },
  error: (error) => {
    // 400 for what is no form, 413 above a limit: without this handler the client is told the same.
    if (error instanceof MultipartError) return error.getResponse();
    console.error(error);
    return new Response('Something went wrong\n', { status: 500 });
  },
});
