/**
 * Tables that only `probes.ts` asks for, as what it asks depends on more than rows: `auto` has ids that a sequence draws over shards and AUTO_INCREMENT on one server, `left` ids
 * that nobody draws over shards; `pair_a` and `pair_b` are changed together by others.
 */

/** Ids that are given are smaller: none pushes a counter. */
export const drawnFrom = 1_000_000

const countedTables = (prefix: string): string[] => [`${prefix}auto`, `${prefix}left_open`]

export function probeTables(prefix: string): string[] {
  const counted = `(k INT NOT NULL, id BIGINT NOT NULL AUTO_INCREMENT, n INT, s VARCHAR(20), PRIMARY KEY (id, k)) AUTO_INCREMENT = ${drawnFrom}`
  const pair = '(k INT NOT NULL PRIMARY KEY, m INT, n BIGINT NOT NULL DEFAULT 0)'
  return [
    ...countedTables(prefix).map((name) => `CREATE TABLE ${name} ${counted}`),
    `CREATE TABLE ${prefix}pair_a ${pair}`,
    `CREATE TABLE ${prefix}pair_b ${pair}`,
  ]
}

/** Ids that nobody draws are no ids for more shards, which a reshard says; no probe asks of them then. */
export function withoutCounted(
  vschema: { readonly vindexes: object; readonly tables: object },
  creates: readonly string[],
  prefixes: readonly string[],
): [vschema: object, creates: string[]] {
  const counted = new Set(prefixes.flatMap(countedTables))
  return [
    { ...vschema, tables: Object.fromEntries(Object.entries(vschema.tables).filter(([name]) => !counted.has(name))) },
    creates.filter((create) => !counted.has(/^CREATE TABLE (\w+)/.exec(create)?.[1] ?? '')),
  ]
}

export function probeVschema(prefix: string): Record<string, object> {
  const byKey = { column_vindexes: [{ column: 'k', name: 'hash' }] }
  return {
    [`${prefix}auto`]: { ...byKey, auto_increment: { column: 'id', sequence: `ids.${prefix}auto_seq` } },
    [`${prefix}left_open`]: byKey,
    [`${prefix}pair_a`]: byKey,
    [`${prefix}pair_b`]: byKey,
  }
}

export function sequenceTables(prefixes: readonly string[]): string[] {
  return prefixes.flatMap((prefix) => [
    `CREATE TABLE ids.${prefix}auto_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT)`,
    `INSERT INTO ids.${prefix}auto_seq VALUES (0, ${drawnFrom}, 100)`,
  ])
}
