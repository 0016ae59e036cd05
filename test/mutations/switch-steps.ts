/** The order of the steps, and which way each failure goes. */
import type { Mutation } from './mutation.ts'

const steps = 'src/switch/switch.ts'
const stepsTest = 'src/switch/switch.test.ts'

const order: Mutation[] = [
  {
    rule: 'what stands in the way stops it before anything is touched, all of it told',
    file: steps,
    edits: [['if (preflight.blockers.length > 0) return', 'if (preflight.blockers.length > 9) return']],
    test: stepsTest,
    name: 'blocked before anything was touched',
    fails: /strictly equal/,
  },
  {
    rule: 'the second marker, under the fence',
    file: steps,
    edits: [["step('drain under the fence', () => effects.drain(held), held),", 'Promise.resolve(),']],
    test: stepsTest,
    name: 'the ten steps',
    fails: /deep-equal/,
  },
  {
    rule: 'the first marker, under the table locks',
    file: steps,
    edits: [["step('drain', () => effects.drain(held), held)", 'Promise.resolve()']],
    test: stepsTest,
    name: 'the ten steps',
    fails: /deep-equal/,
  },
  {
    rule: 'ids once more under the locks',
    file: steps,
    edits: [["step('ids', () => effects.raiseIds(), held)", 'Promise.resolve([])']],
    test: stepsTest,
    name: 'the ten steps',
    fails: /deep-equal/,
  },
  {
    rule: 'the way back is proven before the decision',
    file: steps,
    edits: [["step('prove the way back', () => effects.proveWayBack(held), held),", 'Promise.resolve(),']],
    test: stepsTest,
    name: 'the ten steps',
    fails: /deep-equal/,
  },
  {
    rule: 'table locks stay until the lasting fence stands',
    file: steps,
    edits: [
      ["    await step('release the table locks', () => effects.releaseTableLocks(), held)\n", ''],
      [
        "    killed.push(...(await step('close the old side'",
        "    await effects.releaseTableLocks()\n    killed.push(...(await step('close the old side'",
      ],
    ],
    test: stepsTest,
    name: 'the ten steps',
    fails: /deep-equal/,
  },
  {
    rule: 'triggers go before the last drains',
    file: steps,
    edits: [["    if (moves) await step('drop triggers of the old side', () => effects.dropObjects(), held)\n", '']],
    test: stepsTest,
    name: 'triggers that move: gone from the old side before the last drains, on the new one after them',
    fails: /deep-equal/,
  },
  {
    rule: 'giving up is committed before a lock or fence is lifted',
    file: steps,
    edits: [
      ["      await step('decide: back', () => effects.decide('back'))\n", ''],
      [
        '    holdOffMs = clock.monotonicMs()\n',
        "    holdOffMs = clock.monotonicMs()\n    if (given !== null) await effects.decide('back')\n",
      ],
    ],
    test: stepsTest,
    name: '${step} fails: given up by the deciding commit, before anything is opened or unlocked',
    fails: /deep-equal/,
  },
  {
    rule: 'who lost the decision does nothing more',
    file: steps,
    edits: [["return !isSwError(error, 'SW-SWITCH-001') && !isSwError(error, 'SW-SWITCH-010')", 'return true']],
    test: stepsTest,
    name: 'somebody else decided: nothing more is done',
    fails: /outcome: 'given up'/,
  },
  {
    rule: 'the limit does not cut the deciding commit',
    file: steps,
    edits: [
      [
        "      stopTimer.abort()\n      // No limit on this one: what it decided must be known before anything else.\n      await step('decide: switched', () => effects.decide('switched'))",
        "      await within(held, step('decide: switched', () => effects.decide('switched')), () => effects.dropSessions())",
      ],
    ],
    test: stepsTest,
    name: 'the limit does not cut the deciding commit',
    fails: /falsy|false|evaluated/,
  },
  {
    rule: 'from the hold to the decision a switch takes no longer than its limit',
    file: steps,
    edits: [['clock.sleep(options.limitMs, stopTimer.signal)', 'clock.sleep(options.limitMs * 120, stopTimer.signal)']],
    test: stepsTest,
    name: 'time is up in a step that hangs: its sessions are ended, it is waited for, then given up',
    fails: /timed out/,
  },
  {
    rule: 'a statement that hangs is cut when time is up',
    file: steps,
    edits: [['    await cut()\n', '']],
    test: stepsTest,
    name: 'time is up in a step that hangs: its sessions are ended, it is waited for, then given up',
    fails: /timed out/,
  },
  {
    rule: 'what was cut is waited for before anything else is done',
    file: steps,
    edits: [['    await work.catch(() => undefined)\n', '']],
    test: stepsTest,
    name: 'time is up in a step that hangs: its sessions are ended, it is waited for, then given up',
    fails: /deep-equal/,
  },
  {
    rule: 'gates are waited for, bounded',
    file: 'src/switch/acknowledge.ts',
    edits: [['last.silent.length === 0 || afterMs >= seenMs', 'last.silent.length === 0']],
    test: 'src/switch/acknowledge.test.ts',
    name: 'a silent gate is named and not waited for longer than it may take',
    fails: / ms/,
  },
  {
    rule: 'gates are waited for at all',
    file: 'src/switch/acknowledge.ts',
    edits: [['(gate.seen[keyspace] ?? 0) < version', '(gate.seen[keyspace] ?? 0) < 0']],
    test: 'src/switch/acknowledge.test.ts',
    name: 'all have seen and nothing is open: at once; older versions do not count',
    fails: / ms/,
  },
  {
    rule: 'running transactions get a grace',
    file: 'src/switch/acknowledge.ts',
    edits: [['(last.open === 0 || afterMs >= graceMs)', 'last.open >= 0']],
    test: 'src/switch/acknowledge.test.ts',
    name: 'a transaction that ends within the grace is waited for',
    fails: / ms/,
  },
]

export const stepMutations: readonly Mutation[] = [...order]
