// The formula by which Homebrew installs the executable.
import { SetupError } from './project.mjs';

/** What Homebrew calls the systems that it runs on; that of Linux on a processor is one executable. */
const systems = [
  { os: 'macos', cpu: 'arm', name: 'darwin.arm64' },
  { os: 'macos', cpu: 'intel', name: 'darwin.x64' },
  { os: 'linux', cpu: 'arm', name: 'linux-musl.arm64' },
  { os: 'linux', cpu: 'intel', name: 'linux-musl.x64' },
];

/**
 * @param {string} version
 * @param {{ url: string, homepage?: string }} places `url`: the folder that the files are downloaded from; `homepage`: where
 *   one reads of it; without, the formula has none
 * @param {{ target: { name: string }, file: string, sha256: string }[]} archives
 * @returns {string} the text of gyrfalcon.rb
 */
export function formulaOf(version, { url, homepage }, archives) {
  const stanzas = ['macos', 'linux'].map((os) => {
    const own = systems.filter((system) => system.os === os);
    const blocks = own.flatMap(({ cpu, name }) => {
      const found = archives.find(({ target }) => target.name === name);
      if (found === undefined) return [];
      return [
        `    on_${cpu} do`,
        `      url "${url}/${found.file}"`,
        `      sha256 "${found.sha256}"`,
        '    end',
      ];
    });
    return blocks.length === 0 ? [] : [`  on_${os} do`, ...blocks, '  end', ''];
  });
  if (stanzas.flat().length === 0) {
    throw new SetupError('No executable of this release is for a system that Homebrew runs on.');
  }
  return `${[
    '# Made by npm run release from the checksums of the archives.',
    'class Gyrfalcon < Formula',
    '  desc "HTTP server for static files, with an engine in Zig"',
    ...(homepage === undefined ? [] : [`  homepage "${homepage}"`]),
    `  version "${version}"`,
    '  license "MIT"',
    '',
    ...stanzas.flat(),
    '  def install',
    '    bin.install "gyrfalcon"',
    '    man1.install "gyrfalcon.1"',
    '    doc.install "README.md", "LICENSE", "LICENSES.txt"',
    '  end',
    '',
    '  def post_install',
    '    (var/"www").mkpath',
    '  end',
    '',
    '  service do',
    '    run [opt_bin/"gyrfalcon", "serve", var/"www", "--port", "8080"]',
    '    keep_alive true',
    '  end',
    '',
    '  test do',
    '    assert_match version.to_s, shell_output("#{bin}/gyrfalcon --version")',
    '  end',
    'end',
  ].join('\n')}\n`;
}
