/** Rules of movement that the acceptance review of the engine found missing, each with the smallest edit that removes it. */
import { madeMutations } from './move-made.ts'
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
    rule: '1.11 what a cascade of a reset connection changes stops a stream',
    file: 'src/move/hidden-cascades.ts',
    edits: [['!event.engineCascades || ', 'event.length > 0 || ']],
    test: 'src/move/hidden-cascades.db.test.ts',
    name: 'what a reset connection does to rows that others refer to stops a stream where the rows of those are in no event, and nowhere else',
    fails: /no failure/,
    only: 'mysql',
  },
  {
    rule: '1.11 by the foreign keys that there were at its place in the tail',
    file: 'src/move/stream-tables.ts',
    edits: [['known.get(name)?.cascades', '[]']],
    test: 'src/move/hidden-cascades.db.test.ts',
    name: 'an UPDATE of the columns that rows refer to does too, and the key may be gone when the stream comes to it',
    fails: /no failure/,
    only: 'mysql',
  },
  {
    rule: '1.11 nor are rows passed over that it changes by way of tables which are not moved',
    file: 'src/move/hidden-cascades.ts',
    edits: [['if (key.referencedSchema === null) tables.add', 'if (key.referenced === null) tables.add']],
    test: 'src/move/hidden-cascades.db.test.ts',
    name: 'rows are changed by way of tables of which the stream moves none, and whose own rows are in no event either',
    fails: /no failure/,
    only: 'mysql',
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
    file: 'src/move/stream-tables.ts',
    edits: [['if (hidden !== undefined) throw moveErrors.unfollowed', 'if (hidden?.table === String(i)) throw moveErrors.unfollowed']],
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
  {
    rule: '1.14 whose locks a stream waits for is told',
    file: 'src/move/lock-waits.ts',
    edits: [['busyMs < patienceMs', 'busyMs >= 0']],
    test: 'src/move/lock-waits.db.test.ts',
    name: 'a lock that somebody has on a target is told, with the session that has it, and nothing any more once it is gone',
    fails: /no what it waits for/,
  },
  {
    rule: '1.7 a load whose rows are lost on the way ends soon',
    file: 'src/move/access.ts',
    edits: [['net_read_timeout=${rowsAwaitedS}', 'net_read_timeout=600']],
    test: 'src/move/hang-watch.db.test.ts',
    name: 'a load whose rows are lost on the way ends within what a server waits for rows of ours, and is told meanwhile',
    fails: /600/,
  },
  {
    rule: '2 sessions of a comparison that hang are ended',
    file: 'src/verify/sessions.ts',
    edits: [['    this.#watch.add(conn, address)\n', '']],
    test: 'src/verify/sessions.db.test.ts',
    name: 'sessions of a comparison that hang are ended, too',
    fails: /./,
  },
  {
    rule: '1.1 a tail whose reader stands still is not dropped',
    file: 'src/binlog/dump.ts',
    edits: [['net_write_timeout=${unreadS}', 'net_write_timeout=@@global.net_write_timeout']],
    test: 'src/binlog/tail-held.db.test.ts',
    name: 'a tail whose reader stands still is not dropped by the source',
    fails: /./,
  },
  {
    rule: '1.6 images of a key count as memory',
    file: 'src/move/pending.ts',
    edits: [['+ imagesBytes(change.images) + 160', '+ 160']],
    test: 'src/move/pending.test.ts',
    name: '1.6, promise 8: images of a key count as memory, also in a round that is put back, and add up in no more time than there are',
    fails: /bytes/,
  },
  {
    rule: '1.11 whether a server logs cascades is tried',
    file: 'src/mysql/cascade-probe.ts',
    edits: [['{ logs: rowsOf(child) }', '{ logs: rowsOf(parent) }']],
    test: 'src/change/cascades.db.test.ts',
    name: 'what a server is said to log is what it logs',
    fails: /logs/,
    only: 'mysql',
  },
  ...madeMutations,
]
