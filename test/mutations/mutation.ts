/** One rule taken out of the code, and the test that must fail then. */
export type Mutation = {
  /** In the words of docs/switch-rules.md or docs/failure-lore.md. */
  readonly rule: string
  readonly file: string
  /** What is replaced by what; each text stands in the file exactly once, and `mutations.test.ts` holds it to that. */
  readonly edits: readonly (readonly [text: string, by: string])[]
  readonly test: string
  /** Of the test, as its source has it, `${…}` included. */
  readonly name: string
  /** Of several tests that one name stands for. */
  readonly narrow?: RegExp
  /** The test needs what those before it in its file leave: all of them run. */
  readonly whole?: true
  /** What the failing test says. */
  readonly fails: RegExp
  /** Seen on this flavour alone. */
  readonly only?: 'mariadb' | 'mysql'
}

/** For --test-name-pattern. */
export function namePattern({ name, narrow }: Pick<Mutation, 'name' | 'narrow'>): string {
  if (narrow !== undefined) return narrow.source
  return name
    .split(/\$\{[^}]*\}/)
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*')
}
