/** Rules of a switch, taken out of the room's own code: the model whose controllers are that code (test/models/switch.code.ts) sees a promise broken, without a server. */
import type { Mutation } from './mutation.ts'

const model = {
  test: 'test/models/switch.code.test.ts',
  name: '3: the switch’s own code keeps promises 1, 2, 5 and 9 whatever stops, wakes up late or gets no answer',
  fails: /accepted|both sides open|never ends|stays closed|yet what serves is closed|a side that is gone/,
}
const steps = { file: 'src/switch/switch.ts', ...model }
const fence = { file: 'src/switch/fence.ts', ...model }
const claim = { file: 'src/switch/claim.ts', ...model }
const recovery = { file: 'src/switch/recover.ts', ...model }
const opening = { file: 'src/switch/step-ten.ts', ...model }
const decision = { file: 'src/switch/decide.ts', ...model }

export const switchModelMutations: readonly Mutation[] = [
  {
    rule: 'the second marker, under the fence',
    edits: [["step('drain under the fence', () => effects.drain(held), held),", 'Promise.resolve(),']],
    ...steps,
  },
  {
    rule: 'the way back is proven before the decision',
    edits: [["step('prove the way back', () => effects.proveWayBack(held), held),", 'Promise.resolve(),']],
    ...steps,
  },
  {
    rule: 'the old side is closed before the decision',
    edits: [["killed.push(...(await step('close the old side', () => effects.closeServing(), held)))", '']],
    ...steps,
  },
  {
    rule: 'nothing is opened before it',
    edits: [
      [
        "      await step('decide: switched', () => effects.decide('switched'))",
        "      await effects.finish().catch(() => undefined)\n      await step('decide: switched', () => effects.decide('switched'))",
      ],
    ],
    ...steps,
  },
  {
    rule: 'an unanswered commit is read back: only what is ours was done',
    edits: [
      [
        'if (now.version !== current.version && own(now.value) === own(next.record) && now.value.token === next.record.token) return now',
        'if (now.version !== current.version) return now',
      ],
    ],
    ...decision,
  },
  {
    rule: 'a new leader’s first effect is its token',
    edits: [
      [
        'if (current.value.token === context.leadership.token) return current\n  return',
        'if (current.value.token <= context.leadership.token) return current\n  return',
      ],
    ],
    ...decision,
  },
  {
    rule: 'each commit compares the version and the lead',
    edits: [['[{ key, version: current.version }, leadership.fence]', '[]']],
    ...decision,
  },
  { rule: 'recovery gives up what was switching', edits: [['if (gaveUp.length > 0) {', 'if (gaveUp.length > 99) {']], ...recovery },
  { rule: 'and finishes what was opening', edits: [['if (opening.length > 0) {', 'if (opening.length > 99) {']], ...recovery },
  {
    rule: 'what serves is open before the record says stable',
    edits: [['          await openServer(server, failpoint, schemasOn(work.serving, id))\n', '']],
    ...opening,
  },
  {
    rule: 'a server that is to serve is opened however long it takes to come back',
    edits: [['      if (isFinal(error)) throw error\n      context.log.warn', '      return\n      context.log.warn']],
    ...opening,
  },
  {
    rule: 'a claim ends the session that held the server',
    edits: [
      ['        await connection.query(`KILL ${id}`)', '        if (connection === null) await connection.query(`KILL ${id}`)'],
      [
        "if ((await connection.value(`SELECT GET_LOCK('${ctl}', 5)`)) === '1') break",
        "await connection.value(`SELECT GET_LOCK('${ctl}', 5)`)\n      break",
      ],
    ],
    ...claim,
  },
  {
    rule: 'and is refused by a higher token on the server',
    edits: [
      ['    if (owner.token > mine) throw', '    if (owner.token < 0n) throw'],
      ['WHERE id = 1 AND token <= ${mine}`', 'WHERE id = 1 AND token <= ${10n ** 9n}`'],
    ],
    ...claim,
  },
  {
    rule: 'an effect whose session was lost is done again',
    edits: [
      [
        '        if (!lost || attempt === attemptsMax) throw error',
        '        if (lost) return undefined as T\n        if (attempt === attemptsMax) throw error',
      ],
    ],
    ...claim,
  },
  {
    rule: 'closing locks the accounts, which outlives a restart, and looks that they are',
    edits: [
      ['if (toLock.length > 0)\n    await withoutBinlog(', 'if (toLock.length > 99)\n    await withoutBinlog('],
      ['if (keepsOut(note.kind) && state.unlocked.length > 0) throw', 'if (keepsOut(note.kind) && state.unlocked.length > 99) throw'],
    ],
    ...fence,
  },
  {
    rule: 'and sets read_only, which stops who is in',
    edits: [["    note.kind === 'kill' ? [] : await setReadOnly", "    note.kind !== 'triggers' ? [] : await setReadOnly"]],
    ...fence,
  },
  {
    rule: 'or waits until those who are in are gone',
    edits: [
      [
        'if (passing.length + entering.length > 0) await untilNonePasses(',
        'if (passing.length + entering.length > 99) await untilNonePasses(',
      ],
    ],
    ...fence,
  },
  {
    rule: 'what is locked is written down first',
    edits: [
      [
        "    await connection.query(`INSERT IGNORE INTO ${controlSchema}.control_locked (user, host) VALUES ${rows.join(', ')}`)\n",
        '    void rows\n',
      ],
    ],
    ...fence,
  },
  {
    rule: 'no switch to a side that is gone',
    file: 'src/topology/routing.ts',
    edits: [["if (c.retired || c.other.length === 0) return 'there", "if (c.other.length === 99) return 'there"]],
    ...model,
  },
]
