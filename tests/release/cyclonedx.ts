/** What the JSON schema of CycloneDX 1.5 asks of the parts that ours have, and of nothing else: no other member is let pass. */

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Rule = (value: Json | undefined, where: string) => string[];

const text =
  (pattern = /./): Rule =>
  (value, where) =>
    typeof value === 'string' && pattern.test(value) ? [] : [`${where}: ${JSON.stringify(value)}`];

const oneOf =
  (...values: string[]): Rule =>
  (value, where) =>
    typeof value === 'string' && values.includes(value)
      ? []
      : [`${where}: ${JSON.stringify(value)}`];

const list =
  (rule: Rule): Rule =>
  (value, where) =>
    Array.isArray(value)
      ? value.flatMap((one: Json, i: number) => rule(one, `${where}[${i}]`))
      : [`${where} is no list`];

/** An object with these members; those whose names end in `?` may be missing. */
const object =
  (members: Readonly<Record<string, Rule>>): Rule =>
  (value, where) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return [`${where} is no object`];
    }
    const given = value as Readonly<Record<string, Json>>;
    const names = Object.keys(members).map((name) => name.replace('?', ''));
    const strays = Object.keys(given).filter((name) => !names.includes(name));
    const checked = Object.entries(members).flatMap(([name, rule]) => {
      const key = name.replace('?', '');
      if (given[key] === undefined) return name.endsWith('?') ? [] : [`${where} has no ${key}`];
      return rule(given[key], `${where}.${key}`);
    });
    return [...strays.map((name) => `${where}.${name} is unknown`), ...checked];
  };

const either =
  (...rules: Rule[]): Rule =>
  (value, where) => {
    const found = rules.map((rule) => rule(value, where));
    return found.some((wrong) => wrong.length === 0) ? [] : (found[0] as string[]);
  };

/** Those of SPDX's list that ours have. */
const spdx = [
  'MIT',
  'Apache-2.0',
  'ISC',
  'Zlib',
  'ZPL-2.1',
  '0BSD',
  'BSD-2-Clause',
  'BSD-3-Clause',
];

const hash = object({
  alg: oneOf('MD5', 'SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'),
  content: text(
    /^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128})$/,
  ),
});

const component = object({
  type: oneOf('application', 'library', 'framework', 'operating-system', 'file'),
  name: text(),
  'bom-ref?': text(),
  'group?': text(),
  'version?': text(),
  'description?': text(),
  'scope?': oneOf('required', 'optional', 'excluded'),
  'hashes?': list(hash),
  'licenses?': list(
    either(
      object({ license: object({ id: oneOf(...spdx) }) }),
      object({ license: object({ name: text() }) }),
      object({ expression: text() }),
    ),
  ),
  'cpe?': text(/^cpe:2\.3:[aho](?::[^:\s]+){10}$/),
  // Of the purl specification: a type, perhaps a namespace, a name, a version.
  'purl?': text(/^pkg:[a-z]+(?:\/[\w.%-]+){1,2}@[\w.%+-]+$/),
  'properties?': list(object({ name: text(), value: text() })),
});

const bom = object({
  bomFormat: oneOf('CycloneDX'),
  specVersion: oneOf('1.5'),
  serialNumber: text(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/),
  version: (value, where) => (value === 1 ? [] : [`${where}: ${value}`]),
  metadata: object({
    timestamp: text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    component,
  }),
  components: list(component),
  dependencies: list(object({ ref: text(), 'dependsOn?': list(text()) })),
});

/** The part of a BOM that is looked at by name. */
export interface Component {
  readonly name: string;
  readonly group?: string;
  readonly version?: string;
  readonly 'bom-ref': string;
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
}

export interface Bom {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly {
    readonly ref: string;
    readonly dependsOn?: readonly string[];
  }[];
}

/** What is wrong with a BOM; nothing when it is one. */
export function faultsOf(json: unknown): string[] {
  const faults = bom(json as Json, 'bom');
  if (faults.length > 0) return faults;
  const { metadata, components, dependencies } = json as Bom;
  const refs = [metadata.component, ...components].map((one) => one['bom-ref']);
  const twice = refs.filter((ref, i) => refs.indexOf(ref) !== i);
  const named = dependencies.flatMap(({ ref, dependsOn = [] }) => [ref, ...dependsOn]);
  const unknown = named.filter((ref) => !refs.includes(ref));
  const alone = refs.filter((ref) => !named.includes(ref));
  return [
    ...twice.map((ref) => `${ref} is there twice`),
    ...unknown.map((ref) => `${ref} is no component`),
    ...alone.map((ref) => `${ref} depends on nothing, and nothing on it`),
  ];
}
