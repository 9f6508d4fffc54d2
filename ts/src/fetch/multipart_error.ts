import type { ErrorCode } from '../core/errors.ts';

type MultipartCode = Extract<ErrorCode, `GYR_MULTIPART_${string}`>;

/**
 * A form that is malformed (400) or larger than its limits (413). A TypeError, as Fetch has `formData()`
 * reject with one, with what the errors of this package have besides.
 */
export class MultipartError extends TypeError {
  override readonly name = 'MultipartError';
  readonly code: MultipartCode;
  /** What would be right, or which option it was; '' when the message says it all. */
  readonly hint: string;
  /** What the client is answered where nobody says otherwise. */
  readonly status: 400 | 413;

  constructor(code: MultipartCode, message: string, hint = '') {
    super(hint === '' ? `${message} [${code}]` : `${message} (${hint}) [${code}]`);
    this.code = code;
    this.hint = hint;
    this.status = code === 'GYR_MULTIPART_LIMIT' ? 413 : 400;
  }

  /** The answer to the client; frameworks such as Hono ask for it. It says nothing of the body. */
  getResponse(): globalThis.Response {
    const text = this.status === 413 ? 'Content Too Large' : 'Bad Request';
    return new Response(`${this.status} ${text}: ${this.code}\n`, { status: this.status });
  }
}

export function malformed(message: string): MultipartError {
  return new MultipartError('GYR_MULTIPART_INVALID', message);
}

export function tooMuch(message: string, option: string): MultipartError {
  return new MultipartError('GYR_MULTIPART_LIMIT', message, `the option ${option} sets it`);
}
