/** Streams, ends and whole installations: the failure lore. */
import type { Mutation } from './mutation.ts'

const shared = 'test/shared-server.e2e.test.ts'

const streams: Mutation[] = [
  {
    rule: 'no round begins on a server that still has user triggers',
    file: 'src/move/trigger-gate.ts',
    edits: [['    if (!clean) return untilClean()\n', '    void untilClean\n']],
    test: 'src/move/rules.db.test.ts',
    name: 'a stream that follows waits while the server it writes to has user triggers',
    fails: /waiting/,
  },
  {
    rule: 'an applier transaction commits only where its own row matched',
    file: 'src/move/lane.ts',
    edits: [["if (guard?.kind === 'ok' && guard.affectedRows === 1n) return", "if (guard?.kind === 'ok') return"]],
    test: 'src/move/lane.db.test.ts',
    name: 'promise 1, 1.7: who has lost the right to write commits nothing, though nobody ended its session, and leaves no lock',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'a statement in STATEMENT format stops the stream',
    file: 'src/move/query-policy.ts',
    edits: [["return { kind: 'statement-format' }", "return { kind: 'pass' }"]],
    test: 'src/move/statement-format.db.test.ts',
    name: '1.10 on ${flavour}: a statement instead of rows, ${name}: the stream stops and says where',
    narrow: /1\.10 on \w+: a statement/,
    fails: /./,
  },
  {
    rule: 'rows of an XA transaction are applied at XA COMMIT',
    file: 'src/move/tail-consumer.ts',
    edits: [['await this.#xa.keep(event.xid, at, group)\n      group = []\n', 'await this.#xa.keep(event.xid, at, group)\n']],
    test: 'src/move/xa.db.test.ts',
    name: 'rows of an XA transaction are applied at XA COMMIT, not at PREPARE, and dropped at ROLLBACK',
    narrow: /1\.9 on/,
    fails: /./,
  },
  {
    rule: 'a stream skips what streams of the opposite direction of its workflow wrote',
    file: 'src/move/tail-consumer.ts',
    edits: [['      this.#skipGroup = true\n', '']],
    test: 'src/move/rules.db.test.ts',
    name: 'both directions run: what one applied the other skips, changes go both ways once',
    narrow: /1\.8 on/,
    fails: /./,
  },
  {
    rule: "a stream deletes only rows of its own source's range",
    file: 'src/move/statements.ts',
    edits: [["const owned = mode === 'several-sources' && !table.reference", "const owned = mode === 'one-source' && !table.reference"]],
    test: 'src/move/merge.db.test.ts',
    name: 'with rows and unique values that wander between the sources',
    narrow: /: merge 4 → 1 with rows/,
    fails: /./,
  },
]

const ends: Mutation[] = [
  {
    rule: 'cancel empties tables that stood there empty before, and drops none of them',
    file: 'src/switch/made.ts',
    edits: [['if (there !== undefined) await run(`TRUNCATE TABLE', 'if (there !== undefined) await run(`DROP TABLE']],
    test: 'src/change/attached.db.test.ts',
    name: 'promise 12: cancel drops what the workflow made, and empties what stood there empty before',
    narrow: /cancel drops what the workflow made/,
    fails: /deep-equal/,
  },
  {
    rule: 'a schema goes only when nothing else has come into it',
    file: 'src/switch/made.ts',
    edits: [['if (Number(left) + Number(routines) > 0)', 'if (Number(left) + Number(routines) > 99)']],
    test: 'src/change/attached.db.test.ts',
    name: 'promise 12: cancel drops what the workflow made, and empties what stood there empty before',
    narrow: /cancel drops what the workflow made/,
    fails: /deep-equal/,
  },
  {
    rule: 'values of unique keys that stand on two sources are listed before the copy',
    file: 'src/change/key-collisions.ts',
    edits: [
      [
        'if (shown.length > 0) found.collisions.push({ one, other, shown: shown.slice',
        'if (shown.length > 99) found.collisions.push({ one, other, shown: shown.slice',
      ],
    ],
    test: 'src/change/merge-checks.db.test.ts',
    name: 'merges: values of keys without the shard key that stand on two sources are listed',
    fails: /deep-equal/,
  },
  {
    rule: 'a dry run changes nothing',
    file: 'src/switch/switch-traffic.ts',
    edits: [['effects: dry ?? new RealEffects', 'effects: new RealEffects']],
    test: 'src/switch/switch.db.test.ts',
    name: 'a dry run says what it would do, by the same order, and touches nothing',
    fails: /./,
  },
  {
    rule: 'a commit to etcd whose answer is lost is read back',
    file: 'src/topology/etcd.ts',
    edits: [['if (!lost) return { ok: false, conflicts }', 'if (id.length > 0) return { ok: false, conflicts }']],
    test: 'src/topology/etcd.db.test.ts',
    name: 'a commit whose answer is lost is sent again and read back: done once, told as done',
    fails: /it was done, so it is told as done/,
  },
]

const whole: Mutation[] = [
  {
    rule: 'a server that also holds another keyspace is refused at creation',
    file: 'src/change/reshard-plan.ts',
    edits: [
      ['.filter((shard) => servers.has(shard.serverId) && !moving.has(shard.uid))', '.filter(() => moving.size < 0)'],
      [
        '    if (servers.has(shard.serverId))\n      errors.push(changeErrors.serverShared',
        '    if (servers.size < 0)\n      errors.push(changeErrors.serverShared',
      ],
    ],
    test: shared,
    name: 'by any other fence it is refused before anything is made, and the way out is named',
    fails: /./,
  },
  {
    rule: 'armed triggers end no session of another keyspace',
    file: 'src/switch/fence.ts',
    edits: [['const sessions = schemas === null ? all : all.filter((session) => within(session, schemas))', 'const sessions = all']],
    test: 'src/switch/fence-switch.db.test.ts',
    name: 'armed triggers close one side of it: the other is written there and back, and a neighbour’s schema all the time',
    fails: /./,
  },
]

export const loreMutations: readonly Mutation[] = [...streams, ...ends, ...whole]
