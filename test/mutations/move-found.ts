/** Rules of movement that an audit found missing (docs/decisions/019–022), each with the smallest edit that removes it. */
import type { Mutation } from './mutation.ts'

const rules = 'src/move/rules.db.test.ts'
const twice = 'src/move/ddl-twice.db.test.ts'
const ddl = { test: 'src/move/ddl.db.test.ts', name: '1.13 ${cell.name}, ${phase}, --on-ddl ${mode}: ${outcomeOf(cell, phase, mode)}' }

export const foundMutations: readonly Mutation[] = [
  {
    rule: '1.6 whose a row is, is asked of the bytes of its shard key',
    file: 'src/move/table-plan.ts',
    edits: [['? quoted : `CAST(${quoted} AS BINARY)`', '? quoted : quoted']],
    test: 'src/move/merge.db.test.ts',
    name: "rows of two sources whose text shard keys the collation equates are never taken for one another's",
    fails: /missing|extra/,
  },
  {
    rule: '1.6 keys that contain a text shard key are looked at before a merge',
    file: 'src/change/merge-checks.ts',
    edits: [['if (collated === undefined) return []', 'return []']],
    test: 'src/change/merge-checks.db.test.ts',
    name: '1.6: merges: a key that contains a text shard key may hold one value on two sources, by its collation',
    fails: /./,
  },
  {
    rule: '1.9 a PREPARE takes nothing from an earlier one of its xid',
    file: 'src/move/xa.ts',
    edits: [['WHERE ${this.#where(on.uid, xid)} AND ${preparedAt(place)}`]', 'WHERE ${this.#where(on.uid, xid)}`]']],
    test: 'src/move/xa.db.test.ts',
    name: 'an xid that is prepared again before its first commit is applied: killed there, each commit gives its own rows',
    fails: /./,
  },
  {
    rule: '1.9, 1.4 keys committed during the copy count in later runs too',
    file: 'src/move/stream.ts',
    edits: [['if (resumed) await xaUpkeep.begin()', 'if (resumed && copying.size < 0) await xaUpkeep.begin()']],
    test: 'src/move/xa.db.test.ts',
    name: '1.9, 1.4 on mariadb: keys of an XA transaction that committed while tables are copied count as touched in later runs too, as long as the server knows the xid',
    fails: /./,
  },
  {
    rule: '1.5 what a target has already is told by GTID',
    file: 'src/move/stream.ts',
    edits: [
      [
        'within: groupsWithin(start.position, stored.position)',
        'within: start.marker < 0 ? groupsWithin(start.position, stored.position) : null',
      ],
    ],
    test: rules,
    name: 'after a failover to a server with the groups in another order each target is given what it does not have',
    fails: /./,
  },
  {
    rule: '1.10 names by the rule of the server',
    file: 'src/move/source-tables.ts',
    edits: [['if (!ignoresCase) return', 'if (ignoresCase || !ignoresCase) return']],
    test: twice,
    name: 'a schema that was attached by another spelling, on a server that writes names in small letters, is read all the same',
    fails: /./,
    only: 'mariadb',
  },
  {
    rule: '1.10 names in the client’s character set',
    file: 'src/binlog/client-text.ts',
    edits: [['if (collation === null || isUtf8(collation)) return', 'if (collation === null || collation > 0) return']],
    test: 'src/move/ddl.test.ts',
    name: 'names are read in the client',
    fails: /./,
  },
  {
    rule: '1.13 a schema that is dropped takes its tables with it',
    file: 'src/move/query-policy.ts',
    edits: [['return wholeSchema || unreadable(object.name)', 'return unreadable(object.name)']],
    test: 'src/move/ddl.test.ts',
    name: '1.13: a schema that is dropped takes its tables with it; made or altered it does not',
    fails: /./,
  },
  {
    rule: '1.13 chunks read before a statement do not land behind it',
    file: 'src/move/target-applier.ts',
    edits: [['if (!this.consistent || this.#landingsHeld) return []', 'if (!this.consistent) return []']],
    test: twice,
    name: '1.13 exec: chunks that were read before a statement and wait to land do not land behind it',
    fails: /./,
  },
  {
    rule: '1.13 of an ALTER that is logged twice the end counts',
    file: 'src/move/query-policy.ts',
    edits: [["event.session.alter === 'begins' ||", 'false ||']],
    test: twice,
    name: '1.13 exec: an ALTER that is logged when it begins and when it ends is made when it ends; one that fails, never',
    fails: /./,
    only: 'mariadb',
  },
  {
    rule: '1.13 exec in the session of the source',
    file: 'src/move/stream-ddl.ts',
    edits: [['for (const set of session) await conn.query(set)', 'for (const set of session) void set']],
    ...ddl,
    narrow: /ADD COLUMN that the session fills, following, --on-ddl exec/,
    fails: /./,
  },
  {
    rule: '1.13 while copying, a key whose values lie in another order stops',
    file: 'src/move/stream-ddl.ts',
    edits: [[' || altered(key.columns))', ')']],
    ...ddl,
    narrow: /another type of the primary key, copying, --on-ddl exec/,
    fails: /./,
  },
  {
    rule: '1.13 a shard key that was converted stops',
    file: 'src/move/stream-ddl.ts',
    edits: [["if (altered(plan.shardKey.map(({ index }) => plan.columns[index]?.definition.name ?? '')))", 'if (altered([]))']],
    ...ddl,
    narrow: /another type of the shard key, following, --on-ddl exec/,
    fails: /./,
  },
  {
    rule: '1.12 tables that stand on a target hold what the source’s do',
    file: 'src/move/schema-copy.ts',
    edits: [
      [
        'const reason = other === undefined ? null : columnMisfit(column, other)',
        'const reason = other === undefined ? null : (void columnMisfit, null)',
      ],
    ],
    test: 'src/change/attached.db.test.ts',
    name: '1.12: tables that stand on a target and would take rows for others, or hold rows, are refused by column before anything is made',
    fails: /./,
  },
  {
    rule: '1.1 text of a shard key is the server’s',
    file: 'src/sql/one-byte-charsets.ts',
    edits: [['for (const byte of bytes) table[byte] = character', 'for (const byte of bytes) table[byte] ??= character']],
    test: 'src/move/charset.db.test.ts',
    name: 'shard keys of every character set that can be routed are read as the server reads them, each character',
    fails: /./,
  },
  {
    rule: '1.10 a mapped id is no dummy',
    file: 'src/binlog/group-decoder.ts',
    edits: [['tableId === dummyTableId && !this.#tables.has(tableId)', 'tableId === dummyTableId']],
    test: 'src/binlog/group-decoder.test.ts',
    name: 'promise 4: rows of a table that has the id of the dummy are rows',
    fails: /./,
  },
]
