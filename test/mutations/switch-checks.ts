/** The preflight, and what is looked at again under way. */
import type { Mutation } from './mutation.ts'

const check = { file: 'src/switch/check.ts', test: 'src/switch/check.db.test.ts' } as const
const effects = 'src/switch/effects.real.ts'
const crash = { test: 'src/switch/crash.db.test.ts', name: 'promises 1, 2, 9: the controller ${how} at ${point}' } as const

const preflight: Mutation[] = [
  {
    ...check,
    rule: 'a lag that was not measured blocks',
    edits: [
      ['    if (lag === null) return [switchErrors', '    if (lag === null) return []\n    if (lag === undefined) return [switchErrors'],
    ],
    name: 'promise 6: unknown is not zero: no lag, an old lag, an old report, none at all',
    fails: /deep-equal/,
  },
  {
    ...check,
    rule: 'a lag that was measured long ago blocks',
    edits: [['if (nowMs - lag.atMs > limits.freshMs)', 'if (nowMs - lag.atMs > 1e9)']],
    name: 'promise 6: unknown is not zero: no lag, an old lag, an old report, none at all',
    fails: /deep-equal/,
  },
  {
    ...check,
    rule: 'a report of long ago blocks',
    edits: [['if (ageMs > limits.freshMs) return', 'if (ageMs > 1e9) return']],
    name: 'promise 6: unknown is not zero: no lag, an old lag, an old report, none at all',
    fails: /strictly equal/,
  },
  {
    ...check,
    rule: 'all failures at once',
    edits: [
      [
        'return { blockers: parts.flatMap((part) => part.blockers), notes: parts.flatMap((part) => part.notes) }\n}\n\nasync function routingFindings',
        'return { blockers: parts.flatMap((part) => part.blockers).slice(0, 1), notes: [] }\n}\n\nasync function routingFindings',
      ],
    ],
    name: 'a server that also holds what must go on serving; a server that is down; several at once',
    fails: /deep-equal/,
  },
  {
    ...check,
    rule: 'a server that also holds what must go on serving is refused',
    edits: [['const serves = routing === undefined ||', 'const serves = routing !== undefined &&']],
    name: 'a server that also holds what must go on serving; a server that is down; several at once',
    fails: /strictly equal/,
  },
  {
    ...check,
    rule: 'the applier is tried as itself on every table of F',
    edits: [['`DELETE FROM ${quoteQualified(schema, table)} WHERE 1 = 0`),\n', '`SELECT ${quoteString(schema + table)}`),\n']],
    name: 'what stands on the servers',
    fails: /strictly equal/,
  },
  {
    ...check,
    rule: 'N must be able to feed the streams of the way back',
    edits: [["side === 'to' ? binlogFindings(connection, serverId) :", "side === 'to' ? { blockers: [], notes: [] } :"]],
    name: 'what stands on the servers',
    fails: /strictly equal/,
  },
  {
    ...check,
    rule: 'other defaults of sessions on the side that is to serve are refused',
    file: 'src/switch/check-defaults.ts',
    edits: [['harm !== null && !wayBack', 'harm === variable && !wayBack']],
    name: 'sessions that have another time zone, isolation or sql_mode by default there refuse a switch, unless allowed by name; what else differs is told',
    fails: /strictly equal/,
  },
  {
    ...check,
    rule: 'XA RECOVER is empty or ours',
    edits: [['prepared.length === 0\n      ? []', 'prepared.length >= 0\n      ? []']],
    name: 'what stands on the servers',
    fails: /strictly equal/,
  },
  {
    ...check,
    rule: 'an account that is not locked and would pass the fence is refused',
    edits: [['else blockers.push(switchErrors.passesFence', "else if (name === '') blockers.push(switchErrors.passesFence"]],
    name: 'what stands on the servers',
    fails: /strictly equal/,
  },
  {
    ...check,
    rule: 'proxy users that pass an account lock are listed',
    edits: [
      [
        'for (const { account, proxied } of whole ? await proxies(connection) : [])',
        'for (const { account, proxied } of whole ? [] : await proxies(connection))',
      ],
    ],
    name: 'what stands on the servers',
    fails: /a proxy user is listed/,
  },
  {
    ...check,
    rule: 'a server that replicates from another one is refused',
    edits: [['if (replica !== null) blockers.push', "if (replica === '') blockers.push"]],
    name: 'what stands on the servers',
    fails: /strictly equal/,
  },
  {
    ...check,
    rule: 'a serving server that somebody else closed is told of',
    edits: [["  if (side === 'from' && state.readOnly)\n", "  if (side === 'from' && state.readOnly === null)\n"]],
    name: 'what stands on the servers',
    fails: /closed by somebody else, and told/,
  },
  {
    ...check,
    rule: 'N is closed, or the switch is refused',
    edits: [
      ["if (side === 'to' && !isClosed(state)) blockers", "if (side === 'to' && isClosed(state) && state.readOnly === null) blockers"],
    ],
    test: crash.test,
    name: 'the new side is open at the start: refused before anything is touched, named; closed again, it goes',
    fails: /'given up'/,
  },
  {
    rule: 'step 3: N is looked at again once clients are held',
    file: effects,
    edits: [['if (!isClosed(state)) throw switchErrors.notClosed', 'if (state === null) throw switchErrors.notClosed']],
    test: crash.test,
    name: 'the new side is opened after the preflight',
    fails: /'switched'/,
  },
  {
    rule: 'step 4: XA RECOVER is empty under the locks, of whichever tables',
    file: effects,
    edits: [['if (prepared.length === 0) return\n', 'if (prepared.length >= 0) return\n']],
    test: crash.test,
    name: 'an XA transaction is prepared on another table after the preflight',
    fails: /'switched'/,
  },
  {
    rule: 'step 7: a table that came meanwhile gives the switch up',
    file: effects,
    edits: [['if (strange !== undefined) throw strange', 'void strange']],
    test: crash.test,
    name: 'a table comes to the side that goes after the preflight',
    fails: /'switched'/,
  },
]

const together = {
  test: 'src/change/key-types.db.test.ts',
  name: 'a value of a key of every type, and of every kind of key, is found on two sources, and nothing else is',
} as const

const merged: Mutation[] = [
  {
    ...together,
    rule: 'Merges: a FLOAT is looked up as the double that it equals',
    file: 'src/change/key-parts.ts',
    edits: [["CONCAT(CAST(${quoted} AS DOUBLE), '')", "CONCAT(${quoted}, '')"]],
    fails: /many_floats/,
  },
  {
    ...together,
    rule: 'Merges: beginnings are taken for equal by the weights of their collation, without spaces at the end',
    file: 'src/change/key-parts.ts',
    edits: [['FROM WEIGHT_STRING(RTRIM(${value}))))`', 'FROM CONCAT(${value})))`']],
    fails: /beginnings/,
  },
  {
    rule: 'two rows that still collide at the drain (1.6) stop the switch, both named',
    file: 'src/move/target-applier.ts',
    edits: [['source === undefined ||', 'source !== undefined ||']],
    test: 'src/switch/mover.db.test.ts',
    name: '1.6: two rows that collide where they come together stop the switch, both named; with one of them gone it goes on',
    fails: /row 3 of 80-/,
  },
  {
    rule: 'views follow the side that serves (1.11)',
    file: 'src/switch/views.ts',
    edits: [['views.filter(({ view }) => !except.includes(view))', "views.filter(({ view }) => view === '' && !except.includes(view))"]],
    test: 'src/switch/switch.db.test.ts',
    name: '1.11 views that were made or altered after create are told, and made before the switch, both ways; one that cannot be made refuses it',
    fails: /Missing expected rejection|did not match/,
  },
]

export const checkMutations: readonly Mutation[] = [...preflight, ...merged]
