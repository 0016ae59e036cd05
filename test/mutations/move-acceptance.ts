/** Rules of movement that the acceptance review of the engine found missing, each with the smallest edit that removes it. */
import type { Mutation } from './mutation.ts'

const words = 'src/move/ddl.test.ts'
const unfollowed = 'src/move/unfollowed.db.test.ts'
const comesIn =
  'a cascade that comes in by DDL stops the stream where it is not logged, also when it was taken back before the stream came to it'
const begins = 'a stream does not begin where a table cannot be followed, on either side, however it came to be so'

export const acceptanceMutations: readonly Mutation[] = [
  {
    rule: '1.11, 1.13 a cascade that a server does not log does not come in by DDL',
    file: 'src/move/ddl.ts',
    edits: [['logsCascades ? undefined : cascading', 'mode !== null ? undefined : cascading']],
    test: unfollowed,
    name: comesIn,
    fails: /what it changed meanwhile|no failure/,
    only: 'mariadb',
  },
  {
    rule: '1.10, 1.13 nor does an engine that keeps no transactions',
    file: 'src/move/ddl.ts',
    edits: [['if (engine !== null) return stop', 'if (engine === verb) return stop']],
    test: words,
    name: '1.13: another engine, or a history of rows, stops a stream in every mode',
    fails: /stop/,
  },
  {
    rule: '1.11 tables are looked at again when a run begins, on both sides',
    file: 'src/move/stream-ddl.ts',
    edits: [['if (hidden !== undefined) throw moveErrors.unfollowed', 'if (hidden?.table === schema) throw moveErrors.unfollowed']],
    test: unfollowed,
    name: begins,
    fails: /no failure/,
  },
  {
    rule: '1.11 and before a switch',
    file: 'src/switch/check-followed.ts',
    edits: [['await unfollowed(connection, schema, tables)', 'await unfollowed(connection, schema, [])']],
    test: 'src/switch/check.db.test.ts',
    name: '1.11: a table that could not be followed any more, on either side',
    fails: /./,
  },
  {
    rule: '1.4 also those that are about to land, and wait for whoever writes alone',
    file: 'src/move/target-applier.ts',
    edits: [['        options.onThrownAway(chunk, this)\n        continue', '        throw new Error()']],
    test: 'src/move/copy-again.db.test.ts',
    name: 'a chunk that is about to land, and waits for DDL or keys of another stream, is thrown away as well',
    fails: /SW-MOVE-018/,
  },
  {
    rule: '1.14 headroom is known from the first group on',
    file: 'src/move/stream-report.ts',
    edits: [['const committedAtMs = applied.committedAtMs ?? beganAtMs', 'const committedAtMs = null as number | null']],
    test: 'src/move/pace.db.test.ts',
    name: '1.14 headroom: known and looked after from the first group on, when a mover comes back after hours, and no marker of its own will come for long',
    fails: /no headroom/,
  },
]
