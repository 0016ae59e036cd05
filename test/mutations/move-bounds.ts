/** Rules of movement by which nothing grows, waits or is repeated without end (docs/decisions/025, 026), each with the smallest edit that removes it. */
import type { Mutation } from './mutation.ts'

const heldAtStatement = {
  test: 'src/move/merge-ddl.db.test.ts',
  name: 'a stream that comes to a statement while its row waits for another stream goes on when that has come, and when its own change behind the statement is what frees the place',
  fails: /no marker/,
}
const again = 'src/move/copy-again.db.test.ts'
const pieces = {
  test: again,
  name: 'a range that landed on some targets only and has grown since is read in pieces, and is stored when the last of them has landed',
}
const mixed = 'src/move/keys-mixed.db.test.ts'

export const boundMutations: readonly Mutation[] = [
  {
    rule: '1.3 ranges are put together only where all targets have them',
    file: 'src/move/scan.ts',
    edits: [
      ['if (!whole) continue', 'if (range.rows < 0) continue'],
      ['before === undefined || !whole || ', 'before === undefined || '],
    ],
    test: 'src/move/scan.test.ts',
    name: 'what one target lacks keeps its own path and number of rows: it is not put together on the others',
    fails: /./,
  },
  {
    rule: '1.3 what one target has says nothing of another',
    file: 'src/move/scan.ts',
    edits: [
      [
        'if (missing.length === 0) continue',
        'if (missing.length === 0 || (from.path !== to.path && missing.length < targetCount)) continue',
      ],
    ],
    test: 'src/move/scan.test.ts',
    name: 'promises 3, 8: ranges that are put together on some targets or on all, at any time, hide nothing that is missing elsewhere, nor what a target has lost again',
    fails: /./,
  },
  {
    rule: '1.3 ranges are put together while the copy runs',
    file: 'src/move/landed-ranges.ts',
    edits: [['if (run === undefined) return null', 'if (run === undefined || run.length > 0) return null']],
    test: 'src/move/landed-ranges.db.test.ts',
    name: '1.3, promises 3, 8 on ${flavour}: adjacent ranges that all targets have are put together while the copy runs and is killed; the same rows, each counted once',
    fails: /ranges/,
  },
  {
    rule: '1.14 streams of one mover share its memory',
    file: 'src/move/stream.ts',
    edits: [['copyBytesMax: () => memory.copyBytesMax,', 'copyBytesMax: () => config.copyBytesMax,']],
    test: 'src/move/memory-shares.db.test.ts',
    name: 'promise 8 on ${flavour}: four streams of one mover that may land nothing hold together what one may, and copy all when they may',
    fails: /rows of 1,000 bytes/,
  },
  {
    rule: '1.6, 1.13 rows held back at a statement are tried again while the tail stands still',
    file: 'src/move/target-applier.ts',
    edits: [['this.#held.count > 0 && retryInMs === 0)', 'this.#held.count > 0 && this.#standsStill === null && retryInMs === 0)']],
    ...heldAtStatement,
  },
  {
    rule: '1.6, 1.13 those that the source has given up by now are left out',
    file: 'src/move/target-applier.ts',
    edits: [['if (gone.length === 0) return', 'if (gone.length >= 0) return']],
    ...heldAtStatement,
  },
  {
    rule: '1.3 a range that has grown is read in pieces',
    file: 'src/move/chunk-reader.ts',
    edits: [['const limit = this.#rowsPerChunk\n', 'const limit = piece ? 1_000_000 : this.#rowsPerChunk\n']],
    ...pieces,
    fails: /killed among the pieces|rows by/,
  },
  {
    rule: '1.3 and is stored with its last piece only',
    file: 'src/move/chunk-reader.ts',
    edits: [['if (to === null) chunk.completes = { path, lo: range.lo', 'chunk.completes = { path, lo: range.lo']],
    ...pieces,
    fails: /./,
  },
  {
    rule: '1.4 above the budget of touched keys chunks are thrown away',
    file: 'src/move/copier.ts',
    edits: [['else if (touched.sinceMarkersBytes > touchedBytesMax)', 'else if (touched.sinceMarkersBytes > 1e12)']],
    test: again,
    name: 'above the budget of keys touched while a chunk is in flight it is thrown away and read again',
    fails: /bytes of keys/,
  },
  {
    rule: '1.4 also those that wait for another stream’s row',
    file: 'src/move/copier.ts',
    edits: [
      [
        'if (applier.withdraw(chunk)) this.thrownAway(chunk, applier)',
        'if (applier.withdraw(chunk) && chunk.rows < 0) this.thrownAway(chunk, applier)',
      ],
    ],
    test: again,
    name: 'a chunk that waits for another stream',
    fails: /./,
  },
  {
    rule: '1.4 keys before a low marker are not kept for its chunk',
    file: 'src/move/touched.ts',
    edits: [['({ marker }) => marker <= this.#met', '({ marker }) => marker >= 0']],
    test: 'src/move/pending.test.ts',
    name: '1.4: what the tail brings before it has met a low marker is not kept for chunks behind that; what it brings behind, always',
    fails: /./,
  },
  {
    rule: '1.9 keys of XA transactions stay only while the server knows the xid',
    file: 'src/move/touched.ts',
    edits: [['if (!known.has(xid)) xids.delete(xid)', 'if (known.has(xid)) xids.delete(xid)']],
    test: 'src/move/xa-group.test.ts',
    name: '1.9: a key that is touched by an XA transaction is kept for chunks that begin later only while the server knows the xid; where markers prove enough, not at all',
    fails: /./,
  },
  {
    rule: '1.9 what was kept is removed while tables are copied, too',
    file: 'src/move/xa.ts',
    edits: [['&& (proven || !copying())) removable', '&& !copying()) removable']],
    test: 'src/move/xa.db.test.ts',
    name: 'what was kept of an XA transaction is removed while tables are copied, too, once it is applied everywhere and visible; of earlier runs as well',
    fails: /are still kept/,
  },
  {
    rule: '1.12 keys that an ALTER of an earlier run builds are looked for again',
    file: 'src/move/schema-copy.ts',
    edits: [
      [
        'error.errno === errno.duplicateKeyName && missing.length !== before',
        'error.errno === errno.duplicateKeyName && missing.length < 0',
      ],
    ],
    test: 'src/move/keys.db.test.ts',
    name: 'an ALTER of an earlier run that the server still executes is waited for, and what it leaves is built',
    fails: /1061/,
  },
  {
    rule: '1.12 limits that a server sets for its sessions are not ours',
    file: 'src/mysql/flavour/shared.ts',
    edits: [["'SET SESSION autocommit=1, sql_select_limit=18446744073709551615,", "'SET SESSION sql_select_limit=DEFAULT,"]],
    test: 'src/move/session-limits.db.test.ts',
    name: 'limits that the server sets for every session (time, rows, autocommit, careless statements) are not ours: all is copied, and what takes long ends',
    fails: /./,
  },
  {
    rule: '1.3 keys of both directions are walked by their index',
    file: 'src/move/source-tables.ts',
    edits: [
      [
        'return mixed ? { name, columns, descending } : { name, columns }',
        'return mixed && name === name.toLowerCase() ? { name, columns, descending } : { name, columns }',
      ],
    ],
    test: mixed,
    name: 'keys whose columns lie in both directions are walked by their index, and every row is copied, killed in between too',
    fails: /filesort/,
  },
  {
    rule: '1.3 a generated column is no key and no shard key',
    file: 'src/move/source-tables.ts',
    edits: [["nullable === 'YES' || isGenerated(column)) {", "nullable === 'YES' || isGenerated('')) {"]],
    test: mixed,
    name: 'a generated column is no key to copy by and no shard key: another key is taken, or the table is refused',
    fails: /./,
    only: 'mysql',
  },
  {
    rule: '1.12 a character set has one name',
    file: 'src/binlog/table-definitions.ts',
    edits: [["charset: charsetName(row['s'] ?? null)", "charset: row['s'] ?? null"]],
    test: 'src/binlog/table-definitions.test.ts',
    name: '1.12: utf8 of an older server is utf8mb3 of a newer one, and no other set',
    fails: /./,
  },
  {
    rule: '2 whoever waits for a session when a comparison is stopped learns of it',
    file: 'src/verify/sessions.ts',
    edits: [["options.signal.addEventListener('abort', this.#wakeAll, { once: true })", 'void options']],
    test: 'src/verify/sessions.test.ts',
    name: 'promise 7: whoever waits for a session when the comparison is stopped learns of it, also where more wait than hold one',
    fails: /rejected/,
  },
  {
    rule: '1.3, 1.14 each hang has its whole patience',
    file: 'src/move/hang-watch.ts',
    edits: [['if (!byServer.has(id)) servers.delete(id)', 'if (byServer.has(id)) continue']],
    test: 'src/move/hang-watch.test.ts',
    name: 'promise 7: a hang has its whole patience, however long ago the one before it was',
    fails: /./,
  },
  {
    rule: '1.2 a tail that nobody reads is not left open',
    file: 'src/move/tail-ahead.ts',
    edits: [['    void this.#close()\n    return this.#at(position)', '    return this.#at(position)']],
    test: 'src/move/tail-ahead.test.ts',
    name: '1.2: another position is opened there, and what was opened ahead is closed at once, not at the end of the run',
    fails: /./,
  },
  {
    rule: '1.14 what may be on its way is a share of what all streams of the workflow copy',
    file: 'src/move/copy-budget.ts',
    edits: [['const streams = Math.max(1, all.streams)', 'const streams = 1']],
    test: 'src/move/copy-budget.test.ts',
    name: 'of several streams together: at most 2 % of what they copy, however they share it; a few rows beside many are not copied one by one',
    fails: /2000000|250000/,
  },
  {
    rule: '1.13 what lies ahead in the binlog is looked through once',
    file: 'src/move/ddl-ahead.ts',
    edits: [['kept?.server === server ? kept.statements.findIndex((one) => isAt(one, at)) : -1', '-1 * Number(isAt !== null)']],
    test: 'src/move/ddl-ahead.test.ts',
    name: '1.13: of several statements in a backlog the first has all that lies ahead looked through, the next ones what was written since',
    fails: /what was written since, and the markers/,
  },
  {
    rule: '1.11 foreign keys are looked through while rounds go on',
    file: 'src/move/stream.ts',
    edits: [
      [
        'await verifyForeignKeys(here, there, plans, async (look) => share?.untilWell(look, clock, signal))',
        'await share?.alone(() => verifyForeignKeys(here, there, plans, async (look) => void (await look())))',
      ],
    ],
    test: 'src/move/keys.db.test.ts',
    name: '1.11 on ${flavour}: foreign keys are looked through while rounds go on, which is told; text keys and keys of several columns are found and looked at again by what they are',
    fails: /no marker/,
  },
]
