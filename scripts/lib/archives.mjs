// Static archives whose symbols stay within what they are linked into. Node.js exports the functions of an OpenSSL of its
// own: a module that left its OpenSSL's visible would find Node's called in their place, with other layouts of memory.
// `-fvisibility=hidden` does that for what C defines; assembly has to be told line by line, and so all is done here.
import { readFileSync, writeFileSync } from 'node:fs';

/** Hides every symbol that the archive's objects define (ELF, Mach-O; those of Windows are never interposed). */
export function hideSymbols(path) {
  const archive = readFileSync(path);
  for (const object of objectsOf(archive)) visit(object, (symbol) => symbol.hide());
  writeFileSync(path, archive);
}

/** The names of symbols that an archive's objects define and show to other images: none once `hideSymbols` was there. */
export function visibleSymbols(path) {
  const names = [];
  for (const object of objectsOf(readFileSync(path))) {
    visit(object, (symbol) => symbol.isVisible && names.push(symbol.name));
  }
  return names;
}

/** Views on the members of an archive: what is written to one is written to the archive. */
function objectsOf(archive) {
  if (archive.toString('latin1', 0, 8) !== '!<arch>\n') throw new Error('this is no archive');
  const objects = [];
  for (let at = 8; at + 60 <= archive.length; ) {
    const name = archive.toString('latin1', at, at + 16);
    const size = Number(archive.toString('latin1', at + 48, at + 58));
    // BSD keeps a long name in front of the member.
    const nameSize = name.startsWith('#1/') ? Number(name.slice(3)) : 0;
    objects.push(archive.subarray(at + 60 + nameSize, at + 60 + size));
    at += 60 + size + (size % 2);
  }
  return objects;
}

function visit(object, call) {
  if (object.length < 64) return;
  if (object.readUInt32BE(0) === 0x7f454c46) visitElf(object, call);
  if (object.readUInt32LE(0) === 0xfeedfacf) visitMachO(object, call);
}

const textAt = (bytes, at) => bytes.toString('latin1', at, bytes.indexOf(0, at));
const offsetAt = (bytes, at) => Number(bytes.readBigUInt64LE(at));

/** ELF of 64 bits, little endian: the one kind that Zig makes for the systems of scripts/lib/targets.mjs. */
function visitElf(object, call) {
  const sections = offsetAt(object, 0x28);
  const [entry, count] = [object.readUInt16LE(0x3a), object.readUInt16LE(0x3c)];
  for (let index = 0; index < count; index += 1) {
    const section = sections + index * entry;
    if (object.readUInt32LE(section + 4) !== 2) continue; // SHT_SYMTAB
    const strings = offsetAt(object, sections + object.readUInt32LE(section + 0x28) * entry + 0x18);
    const begin = offsetAt(object, section + 0x18);
    const end = begin + offsetAt(object, section + 0x20);
    for (let at = begin; at < end; at += 24) {
      const isGlobal = object[at + 4] >> 4 !== 0;
      const isDefined = object.readUInt16LE(at + 6) !== 0;
      if (!isGlobal || !isDefined) continue;
      call({
        name: textAt(object, strings + object.readUInt32LE(at)),
        isVisible: (object[at + 5] & 3) === 0,
        hide: () => {
          object[at + 5] = (object[at + 5] & ~3) | 2; // STV_HIDDEN
        },
      });
    }
  }
}

function visitMachO(object, call) {
  let command = 32;
  for (let left = object.readUInt32LE(16); left > 0; left -= 1) {
    if (object.readUInt32LE(command) === 2) visitSymtab(object, command, call); // LC_SYMTAB
    command += object.readUInt32LE(command + 4);
  }
}

function visitSymtab(object, command, call) {
  const [symbols, count, strings] = [8, 12, 16].map((at) => object.readUInt32LE(command + at));
  for (let index = 0; index < count; index += 1) {
    const at = symbols + index * 16;
    const type = object[at + 4];
    const isStab = (type & 0xe0) !== 0;
    const isExternal = (type & 1) !== 0 && (type & 0x0e) !== 0;
    if (isStab || !isExternal) continue;
    call({
      name: textAt(object, strings + object.readUInt32LE(at)),
      isVisible: (type & 0x10) === 0,
      hide: () => {
        object[at + 4] |= 0x10; // N_PEXT
      },
    });
  }
}
