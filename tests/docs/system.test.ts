import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { project, root } from '../support/process.ts';
import { testUnless } from '../support/skip.ts';

// std's wrappers of system calls hold some answers for impossible (`unreachable`) that the outside can bring: the
// process ends. Shipped code calls zig/core/system.zig instead, where every errno is an error.
const test = suite('system calls');

/** Calls of std that may meet `unreachable` by what the system answers. */
const bare = [
  /\bposix\.[a-z]\w*\(/g,
  /\bstd\.net\.(?!Address\.(?:initIp[46]|parseIp[46]?)\()[\w.]+\(/g,
  /\bstd\.fs\.(?!path\.)[\w.]+\(/g,
  /\bstd\.Thread\.(?:spawn|getCpuCount|sleep)\b/g,
  /\bstd\.(?:time\.sleep|heap\.page_allocator|io\.getStd\w+)\b/g,
  /\blinux\.sched_setaffinity\(/g,
];

/** Not shipped: programs that developers run. */
const tools =
  /^zig\/(?:sim|fuzz)\/|^zig\/(?:sim|fuzz|fuzz_coverage|differential|model|abi_gen|ktls_vm)\.zig$|^zig\/bridge\/abi_gen\.zig$/;

const listing = spawnSync('git', ['ls-files', '-z', 'zig'], { cwd: root, encoding: 'utf8' });
const files = (listing.status === 0 ? listing.stdout : '')
  .split('\0')
  .filter((path) => path.endsWith('.zig') && existsSync(project(path)));
const why = files.length === 0 ? 'this is no git clone: its own files are unknown' : undefined;

/** Calls that a file may make: of a thread std holds no answer of Windows for impossible. */
const allowed: Readonly<Record<string, string>> = {
  'zig/core/system/windows.zig': 'std.Thread.spawn',
};

/** The lines of a file that are shipped: no comments, no `test` blocks, nothing behind `const testing`. */
function shippedLines(text: string): (string | undefined)[] {
  let inTest = false;
  let behind = false;
  return text.split('\n').map((line) => {
    behind ||= line.startsWith('const testing = ');
    inTest ||= /^test\b/.test(line);
    const shipped = !inTest && !behind;
    if (line === '}') inTest = false;
    return shipped ? line.replace(/\/\/.*$/, '') : undefined;
  });
}

/** `file:line: call` of each bare call in shipped code. */
function bareCalls(path: string, text: string): string[] {
  return shippedLines(text).flatMap((line, at) =>
    bare.flatMap((pattern) =>
      [...(line ?? '').matchAll(pattern)]
        .filter(([call]) => call !== allowed[path])
        .map(([call]) => `${path}:${at + 1}: ${call}`),
    ),
  );
}

test('a bare call is seen in shipped code, and not in tests and comments', () => {
  const text = [
    'const fd = try posix.open(path, .{}, 0); // posix.close(fd)',
    'const file: posix.fd_t = linux.open(path);',
    'test "a file" {',
    '    posix.close(fd);',
    '}',
    '    const list = std.net.getAddressList(gpa, name, 80);',
    'const testing = std.testing;',
    'fn helper() void { std.time.sleep(1); }',
  ].join('\n');
  assert.equal(bareCalls('zig/a.zig', text), [
    'zig/a.zig:1: posix.open(',
    'zig/a.zig:6: std.net.getAddressList(',
  ]);
});

testUnless(test, why, 'shipped Zig calls the system through zig/core/system.zig alone', () => {
  const shipped = files.filter((path) => !tools.test(path) && !path.endsWith('_test.zig'));
  assert.ok(shipped.length > 50, `${shipped.length} files`);
  const found = shipped.flatMap((path) => bareCalls(path, readFileSync(project(path), 'utf8')));
  assert.ok(found.length === 0, found.join('\n'));
});

test.run();
