/** Rules of movement and verification (PROTOCOLS 1 and 2), each with the smallest edit that removes it. */
import { lagMutations } from './lag.ts'
import { boundMutations } from './move-bounds.ts'
import { acceptanceMutations } from './move-acceptance.ts'
import { auditMutations } from './move-audit.ts'
import { modelMutations } from './move-models.ts'
import { paceMutations } from './move-pace.ts'
import { foundMutations } from './move-found.ts'
import type { Mutation } from './mutation.ts'

const merge = 'src/move/merge.db.test.ts'
const mergeKeys =
  'unique keys of a merge wait for the rows of all sources; while two rows hold one value both stay, the streams go on and say so'
const split = { test: 'src/move/split.db.test.ts', name: 'copy and follow under writes with wandering keys, shard keys and unique values' }
const parts = {
  test: 'src/move/rules.db.test.ts',
  name: 'a transaction larger than the budget goes in parts and ends whole; killed between parts it is done again',
  narrow: /1\.5 on .*: a transaction larger/,
  fails: /stands at no boundary/,
}
const xaParts = {
  test: 'src/move/xa.db.test.ts',
  name: 'an XA transaction above the memory budget is kept in parts and applied in parts, killed among them, in one phase too',
}
const types = {
  test: 'src/move/rules.db.test.ts',
  name: 'every type, character set and key survives copy and tail byte by byte; reference tables go to all targets',
}
const exclusion = 'src/move/exclusion.test.ts'

const copy: Mutation[] = [
  {
    rule: '1.1 a reference table is moved by one stream only',
    file: 'src/move/stream.ts',
    edits: [['record.tables.filter((table) => !table.reference || record.movesReference)', 'record.tables']],
    test: merge,
    name: mergeKeys,
    fails: /./,
  },
  {
    rule: '1.2 what is open at the start position is waited for',
    file: 'src/move/source-start.ts',
    edits: [['.filter((id) => openThen.has(id))', '.filter((id) => !openThen.has(id) && false)']],
    test: 'src/move/start.db.test.ts',
    name: 'the copy begins when every transaction and XA id open at the start position has ended, and says what it waits for',
    fails: /./,
  },
  {
    rule: '1.3 a chunk begins behind the last key of the one before',
    file: 'src/move/statements.ts',
    edits: [["const orEqual = side === 'upTo'", 'const orEqual = true']],
    test: 'src/move/pending.test.ts',
    name: '1.3: range conditions of one and of several columns',
    fails: /./,
  },
  {
    rule: '1.3 gaps between landed chunks are read again after a crash',
    file: 'src/move/scan.ts',
    edits: [['} else ranges.push(gap(from.path', '} else if (from.path === to.path) ranges.push(gap(from.path']],
    test: 'src/move/scan.test.ts',
    name: 'promise 3: whatever a crash left open is scanned again, once per target, and nothing else',
    fails: /./,
  },
  {
    rule: '1.3 a chunk that landed on some targets is read again for the others',
    file: 'src/move/scan.ts',
    edits: [['if (missing.length === 0) continue', 'if (missing.length < targetCount) continue']],
    test: 'src/move/scan.test.ts',
    name: 'promise 3: whatever a crash left open is scanned again, once per target, and nothing else',
    fails: /./,
  },
  {
    rule: '1.4 a landing drops keys that the tail has touched since the low marker',
    file: 'src/move/target-applier.ts',
    edits: [['sets.some((set) => set.has(key)) || this.#held', 'this.#held']],
    ...split,
    fails: /./,
  },
  {
    rule: '1.4 from its low marker on, not from its read on',
    file: 'src/move/chunk-reader.ts',
    edits: [
      [
        '    let high: Promise<number> | null = null\n',
        '    chunk.generation = (await markers.write()).generation\n    let high: Promise<number> | null = null\n',
      ],
    ],
    test: 'src/move/visibility.db.test.ts',
    name: 'commits stalled between binlog and engine while chunks are read: the tail has the event, readers not yet the row, nothing is lost',
    fails: /./,
  },
  {
    rule: '1.4 both images of a change count as touched',
    file: 'src/move/tail-consumer.ts',
    edits: [['if (copying.has(change.table)) touched.add', 'if (copying.has(change.table) && change.row !== null) touched.add']],
    ...split,
    fails: /./,
  },
  {
    rule: '1.4 a source whose commits are not in the order of its binlog is refused',
    file: 'src/move/markers.ts',
    edits: [['if (!server.ordersCommits) throw', 'if (server.ordersCommits === null) throw']],
    test: 'src/move/start.db.test.ts',
    name: '1.4 on mysql: with binlog_order_commits=OFF a marker proves nothing, and the stream is refused',
    fails: /./,
    only: 'mysql',
  },
]

const rounds: Mutation[] = [
  {
    rule: '1.5 the last image of each key',
    file: 'src/move/pending.ts',
    edits: [['const newer = merge(older, change)', 'const newer = merge(change, older)']],
    test: 'src/move/pending.test.ts',
    name: '1.5: a round has the last image of each key',
    fails: /./,
  },
  {
    rule: '1.5 all deletes first',
    file: 'src/move/target-applier.ts',
    edits: [['[...only.deletes, ...only.upserts]', '[...only.upserts, ...only.deletes]']],
    ...types,
    fails: /./,
  },
  {
    rule: '1.5 a round in lanes stores first where it goes; past the intent only is the target consistent',
    file: 'src/move/boundary.ts',
    edits: [['compareCoordinates(to, intent) > 0 ?', 'compareCoordinates(to, intent) > 9e15 ?']],
    ...parts,
  },
  {
    rule: '1.5 parts of a transaction go under its intent',
    file: 'src/move/target-applier.ts',
    edits: [['    await this.#setIntent(end, { transactions: 1, changes: null }, this.options.read())\n', '']],
    ...parts,
  },
  {
    rule: '1.6 a stream of a merge inserts, and never replaces',
    file: 'src/move/statements.ts',
    edits: [["insertHead(table, mode === 'one-source' ? 'REPLACE' : 'INSERT', schema)", "insertHead(table, 'REPLACE', schema)"]],
    test: merge,
    name: 'promise 1, 1.6 on ${flavour}: a row that has gone on to another source stays, though the stream of the source that it came from brings it late',
    fails: /missing/,
  },
  {
    rule: '1.6 deletes match every image of the key in the round',
    file: 'src/move/pending.ts',
    edits: [['  return { ...newer, images: together(images, added) }', '  return images === added ? older : newer']],
    test: 'src/move/pending.test.ts',
    name: '1.6: a round that was not kept goes under what came since, and remembers every image of its keys',
    fails: /./,
  },
  {
    rule: '1.6 a landing leaves out rows of its own that the tail brought before',
    file: 'src/move/target-applier.ts',
    edits: [['if (own.size === 0) return false', 'if (own.size >= 0) return false']],
    test: merge,
    name: "promise 1, 1.6 on ${flavour}: rows that the tail brought before their chunk was read are in nobody's way when it lands",
    fails: /no running stream/,
  },
  {
    rule: '1.7 whoever takes over ends the right of the one before',
    file: 'src/move/takeover.ts',
    edits: [
      ["SET epoch = ${epoch}, state = 'ended', n = n + 1 WHERE ${where}", 'SET n = n + 1 WHERE ${where} AND n < 0'],
      ['ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), state', 'ON DUPLICATE KEY UPDATE state'],
    ],
    test: 'src/move/rules.db.test.ts',
    name: 'a mover that is held in mid-transaction keeps nothing once another has taken over',
    fails: /./,
  },
]

const sources: Mutation[] = [
  {
    rule: '1.9 keys of XA transactions count as touched for every chunk until the server has forgotten the xid',
    file: 'src/move/xa-group.ts',
    edits: [['else touched.addUnproven(change.table', 'else if (copying.size < 0) touched.addUnproven(change.table']],
    test: 'src/move/xa-group.test.ts',
    name: '1.9: keys of an XA transaction count as touched for every chunk, whenever its low marker was',
    fails: /./,
  },
  {
    rule: '1.9, 1.4 and at the commit only: rolled back, the tail never brings them',
    file: 'src/move/tail-consumer.ts',
    edits: [["    if (event.kind === 'xaPrepare') {\n", "    this.#touch(group)\n    if (event.kind === 'xaPrepare') {\n"]],
    test: 'src/move/xa.db.test.ts',
    name: 'rows that an XA transaction changed and that were read meanwhile are not lost when it is rolled back',
    fails: /missing/,
  },
  {
    rule: '1.9 rows of an XA transaction are kept over a restart until its outcome is applied everywhere',
    file: 'src/move/xa.ts',
    edits: [
      ['if (done.ordinal !== null && stored >= done.ordinal && ', 'if (stored >= 0 && '],
      [
        "this.#done.push({ xid, at: place, ordinal: null, earlier: false, proven: this.#options.proof === 'marker' })",
        'void this.rollback(xid, at)',
      ],
    ],
    ...xaParts,
    fails: /./,
  },
  {
    rule: '1.9, 1.5 an XA transaction above the budget is kept in parts',
    file: 'src/move/tail-consumer.ts',
    edits: [['return this.#xa.xid === null ? this.#applyParts(signal)', 'return this.#xa.xid !== null ? this.#applyParts(signal)']],
    ...xaParts,
    fails: /./,
  },
  {
    rule: '1.9, 1.5 one that commits in one phase gives what was kept of it',
    file: 'src/move/tail-consumer.ts',
    edits: [['      await this.#xa.keep(this.#xa.xid, at, group)\n', '']],
    ...xaParts,
    fails: /./,
    only: 'mysql',
  },
  {
    rule: '1.10 a source that lost the last marker read is not followed',
    file: 'src/move/source-start.ts',
    edits: [['return marker < read ?', 'return marker < -9 ?']],
    test: 'src/move/start.db.test.ts',
    name: 'a source that has lost what was read of it stops the stream: its last marker must still be there',
    fails: /./,
  },
  {
    rule: '1.10 nor one that has not executed what was applied of it',
    file: 'src/move/source-start.ts',
    edits: [['if (transactions !== null) return', "if (transactions === '') return"]],
    test: 'src/move/rules.db.test.ts',
    name: 'a source that has not executed what was read of it (another server, a failover that lost some) is not followed, and nothing is written',
    fails: /./,
  },
  {
    rule: '1.13 DDL on a moved table stops the stream',
    file: 'src/move/query-policy.ts',
    edits: [["return { kind: 'ddl', table: hit.name }", "return { kind: 'pass' }"]],
    test: 'src/move/rules.db.test.ts',
    name: 'DDL on a moved table stops the stream, on another it does not',
    narrow: /1\.13, 1\.10 on/,
    fails: /./,
  },
]

const schema: Mutation[] = [
  {
    rule: '1.11 foreign keys are verified when the copy is done',
    file: 'src/move/orphans.ts',
    edits: [['if (keys.length > 0) yield', 'if (keys.length > pageRows) yield']],
    test: 'src/move/keys.db.test.ts',
    name: 'rows whose other row of a foreign key went to another shard stop the copy at its end, by name; what does not hold on the source either passes',
    fails: /running/,
  },
  {
    rule: '1.11 rows that do not meet them on the source either pass',
    file: 'src/move/orphans.ts',
    edits: [['return keys.length === 0 ? [] :', 'return keys.length >= 0 ? keys :']],
    test: 'src/move/keys.db.test.ts',
    name: 'rows whose other row of a foreign key went to another shard stop the copy at its end, by name; what does not hold on the source either passes',
    fails: /./,
  },
  {
    rule: '1.12 unique keys wait for the rows, in merges too',
    file: 'src/move/schema-copy.ts',
    edits: [["return referenced.has(table) ? 'kept' : 'too'", "return referenced.has(table) ? 'kept' : 'kept'"]],
    test: merge,
    name: mergeKeys,
    fails: /./,
  },
  {
    rule: '1.12 a rebuild that meets two rows of one value is tried again',
    file: 'src/move/exclusion.ts',
    edits: [['if (inTheWay === null) return', 'if (inTheWay === null || attempt === 0) return']],
    test: exclusion,
    name: '1.12: a unique key that met two rows of one value is built again, and only when every stream of the target has passed a fresh marker',
    fails: /./,
  },
  {
    rule: '1.12 after every stream of the target has passed a fresh marker',
    file: 'src/move/exclusion.ts',
    edits: [['      await this.#passMarkers(signal)\n', '']],
    test: exclusion,
    name: '1.12: a unique key that met two rows of one value is built again, and only when every stream of the target has passed a fresh marker',
    fails: /./,
  },
  {
    rule: '1.12 nothing is rebuilt before all streams have copied',
    file: 'src/move/exclusion.ts',
    edits: [['.some((uid) => !this.#copied.has(uid) && !this.#done.has(uid))) await', '.some((uid) => uid.length === 0)) await']],
    test: exclusion,
    name: '1.12: nothing is built before all have copied; a stream whose run ends is waited for again, and another takes over the building',
    fails: /./,
  },
  {
    rule: '1.12 a stream whose run ended has to copy again before anything is rebuilt',
    file: 'src/move/exclusion.ts',
    edits: [['      this.#copied.delete(streamUid)\n', '']],
    test: exclusion,
    name: '1.12: nothing is built before all have copied; a stream whose run ends is waited for again, and another takes over the building',
    fails: /./,
  },
  {
    rule: '1.12 sessions of our own have a fixed sql_mode: id 0 stays 0',
    file: 'src/mysql/flavour/shared.ts',
    edits: [["sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'", "sql_mode='ALLOW_INVALID_DATES'"]],
    test: 'src/move/rules.db.test.ts',
    name: 'a row with id 0 keeps it, by copy and by tail, in a table that counts ids by itself',
    fails: /./,
  },
  {
    rule: '1.12 and a fixed time zone',
    file: 'src/mysql/flavour/shared.ts',
    edits: [["SET SESSION time_zone='+00:00', sql_mode='NO_AUTO", "SET SESSION time_zone='+05:30', sql_mode='NO_AUTO"]],
    ...types,
    fails: /./,
  },
]

const verification: Mutation[] = [
  {
    rule: '2 a row on a wrong shard is found though its digest is right',
    file: 'src/verify/ranges.ts',
    edits: [['&& targets.every(({ misplaced }) => misplaced === 0)\n  if (same)', '\n  if (same)']],
    test: 'src/verify/vdiff.db.test.ts',
    name: 'clean under live writes, a hot row among them; then each harm is found and named; repair mends it',
    fails: /./,
  },
  {
    rule: '2 digests tell NULL from an empty text',
    file: 'src/verify/row-text.ts',
    edits: [['else if (nullable) head.push(`ISNULL(${sql})`)', 'else void nullable']],
    test: 'src/verify/values.db.test.ts',
    name: 'rows that differ have different digests, however their values read side by side; keys far apart are all compared',
    fails: /./,
  },
  {
    rule: '2 strings of a row are told apart by their lengths',
    file: 'src/verify/row-text.ts',
    edits: [['head.push(marked(`LENGTH(${sql})`))', 'void marked']],
    test: 'src/verify/values.db.test.ts',
    name: 'rows that differ have different digests, however their values read side by side; keys far apart are all compared',
    fails: /./,
  },
  {
    rule: '2 the last word is spoken when the targets have applied the marker',
    file: 'src/verify/settle.ts',
    edits: [
      [
        'if (!(await options.reports.applied(comparison.group.streams, targets, markers, leftMs)))',
        'if (leftMs < -9e9 && targets.size < 0)',
      ],
    ],
    test: 'src/verify/settle.db.test.ts',
    name: 'after the marker, under locks that keep the row as it is, and only what it holds',
    fails: /./,
  },
  {
    rule: '2 under locks of the source',
    file: 'src/verify/settle.ts',
    edits: [
      [
        'const rows = await readRows(conn, comparison, side, keys, lock)',
        "const rows = await readRows(conn, comparison, side, keys, lock === '' ? lock : '')",
      ],
    ],
    test: 'src/verify/settle.db.test.ts',
    name: 'after the marker, under locks that keep the row as it is, and only what it holds',
    fails: /./,
  },
  {
    rule: '2 repair writes only while the source’s rows are locked',
    file: 'src/verify/repair.ts',
    edits: [['await stillLocked()', 'await Promise.resolve(stillLocked)']],
    test: 'src/verify/repair.db.test.ts',
    name: 'only with the right to write, and only while the source',
    fails: /./,
  },
]

export const moveMutations: readonly Mutation[] = [
  ...copy,
  ...rounds,
  ...sources,
  ...schema,
  ...foundMutations,
  ...lagMutations,
  ...boundMutations,
  ...auditMutations,
  ...acceptanceMutations,
  ...modelMutations,
  ...paceMutations,
  ...verification,
]
