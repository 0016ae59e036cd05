/** What gates do in a switch. */
import type { Mutation } from './mutation.ts'

const failures = { file: 'src/gate/failures.ts', test: 'src/gate/failures.test.ts', name: 'promise 11: of all cases, none sends again what may have been done or told' } as const // prettier-ignore
const buffer = { file: 'src/gate/buffer.ts', test: 'src/gate/buffer.test.ts', name: 'hold (promises 7, 8): every ticket leaves exactly once, nothing runs on a held component, order and bounds hold' } as const // prettier-ignore
const gateSwitch = 'src/gate/switch.db.test.ts'

const judged: Mutation[] = [
  {
    rule: 'a statement whose session was killed is not sent again unless it may be read twice',
    edits: [["const undone = kind !== 'killed' || c.rereadable", 'const undone = true']],
    ...failures,
    fails: /may have been done/,
  },
  {
    rule: 'interrupted counts as refused only while the record says that the shard moves',
    edits: [["(moving && (kind === 'interrupted' || kind === 'killed'))", "kind === 'interrupted'"]],
    ...failures,
    fails: /may have been done/,
  },
  {
    rule: 'a write whose outcome nobody told is not sent again',
    edits: [["outcome === 'nothingSent' || c.rereadable ||", 'true ||']],
    ...failures,
    fails: /falsy|false|evaluated/,
  },
  {
    rule: 'nothing goes on in the middle of a transaction',
    edits: [["if (undone && !c.passedOn && c.transaction !== 'later') return 'repeat'", "if (undone && !c.passedOn) return 'repeat'"]],
    ...failures,
    fails: /told or begun already/,
  },
  {
    rule: 'of an answer that was begun to be told nothing is sent again',
    edits: [
      [
        "if (undone && !c.passedOn && c.transaction !== 'later') return 'repeat'",
        "if (undone && c.transaction !== 'later') return 'repeat'",
      ],
    ],
    ...failures,
    fails: /told or begun already/,
  },
  {
    rule: 'nothing runs on a held component',
    edits: [['held.has(key) || kept.has(key)', 'kept.has(key)']],
    ...buffer,
    fails: /ran on a held component/,
  },
  {
    rule: 'buffers drain in order',
    edits: [['blocked(ticket, state.held, blockedKeys(state))', 'blocked(ticket, state.held, new Set())']],
    ...buffer,
    fails: /overtook/,
  },
  {
    rule: 'buffers are bounded in bytes',
    edits: [['state.bytes + ticket.bytes > limits.bytesMax', 'state.waiting.length > 1e9']],
    ...buffer,
    fails: /Property failed/,
  },
  {
    rule: 'buffers are bounded in time',
    edits: [['if (nowMs - w.sinceMs < limits.waitMaxMs) {', 'if (nowMs >= w.sinceMs) {']],
    file: buffer.file,
    test: buffer.test,
    name: 'hold: ${name}',
    narrow: /hold: waiting ends by itself/,
    fails: /deep-equal/,
  },
  {
    rule: 'a gate acknowledges in the decision that starts holding',
    edits: [["{ kind: 'acknowledge', version: event.version, open: event.open }, ...drained.effects", '...drained.effects']],
    file: buffer.file,
    test: buffer.test,
    name: 'hold: ${name}',
    narrow: /hold: open transactions are acknowledged/,
    fails: /deep-equal/,
  },
]

const served: Mutation[] = [
  {
    rule: 'a transaction that outlives the grace is rolled back for real',
    file: 'src/gate/holds.ts',
    edits: [['    for (const transaction of expelled) transaction.expel(keyspace)\n', '']],
    test: gateSwitch,
    name: 'a transaction that does not end within the grace gets 1213, is rolled back for real, and its locks are gone',
    fails: /the grace to end/,
  },
  {
    rule: 'gates hold before anything is sent',
    file: 'src/gate/holds.ts',
    edits: [
      [
        '    const { held, waiting } = lane.state\n    return',
        '    const { held, waiting } = lane.state\n    if (held.size > 0) return false\n    return',
      ],
      ['return held !== undefined && components', 'return held?.size === -1 && components'],
    ],
    test: gateSwitch,
    name: 'reads go on while writes are held; a held statement can be killed',
    fails: /it to wait/,
  },
  {
    rule: 'a statement that met the fence is sent to the new side, unseen by its client',
    file: 'src/gate/failures.ts',
    edits: [
      [
        "if (undone && !c.passedOn && c.transaction !== 'later') return 'repeat'\n    if",
        "if (undone && c.transaction === 'first') return 'repeat'\n    if",
      ],
    ],
    test: gateSwitch,
    name: 'promise 11: a fence that does not wait for the gate: autocommit writes are sent to the new side unseen, transactions get 1213',
    fails: /autocommit: 1290/,
  },
  {
    rule: 'a statement whose connection is refused waits as those do that met the fence',
    file: 'src/gate/runner.ts',
    edits: [
      [
        "\n      return { kind: 'refused', cause: connectError(shard, error as Error) }",
        '\n      throw connectError(shard, error as Error)',
      ],
    ],
    test: gateSwitch,
    name: 'promise 11: a fence that does not wait for the gate: autocommit writes are sent to the new side unseen, transactions get 1213',
    fails: /locked|cannot be reached|SW-GATE/,
  },
  {
    rule: 'what a session would lose it is told before anything runs without it',
    file: 'src/gate/session-connections.ts',
    edits: [['    throw gateErrors.sessionStateLost({ state, keyspace: shard.keyspace })', '    void state']],
    test: gateSwitch,
    name: 'sessions across a switch: prepared statements and settings go on',
    fails: /cannot be null/,
  },
  {
    rule: 'a gate past its lease reads the record before it answers anything',
    file: 'src/gate/core.ts',
    edits: [['return this.membership.valid ? undefined : this.#revive()', 'return undefined']],
    test: 'src/gate/stale.db.test.ts',
    name: 'promise 2: a gate past its lease answers nothing by what it knew',
    fails: /'old' !== null/,
  },
  {
    rule: 'a replica whose lag is unknown is not read',
    file: 'src/gate/replica-health.ts',
    edits: [['    if (state.upToMs === null) return', '    if (state.upToMs === null) return null\n    if (state.upToMs === -1) return']],
    test: 'src/gate/replica-reads.db.test.ts',
    name: 'promise 6: one that stands still, is behind or is down is not read; with none left, the error names each with its reason',
    fails: /./,
  },
  {
    rule: 'a replica that is too far behind is not read',
    file: 'src/gate/replica-health.ts',
    edits: [['    if (lagMs <= lagMaxMs) return null', '    if (lagMs >= 0) return null']],
    test: 'src/gate/replica-reads.db.test.ts',
    name: 'promise 6: one that stands still, is behind or is down is not read; with none left, the error names each with its reason',
    fails: /./,
  },
]

export const gateMutations: readonly Mutation[] = [...judged, ...served]
