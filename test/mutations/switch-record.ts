/** The record that decides, and commits to it. */
import type { Mutation } from './mutation.ts'

const routing = 'src/topology/routing.ts'
const decide = 'src/switch/decide.ts'
const table = { test: 'src/topology/routing.test.ts', name: "${state} × ${step} → ${expected ?? 'refused'}" } as const
const decideTest = 'src/switch/decide.test.ts'

const phases: Mutation[] = [
  {
    rule: 'a switch begins from stable only',
    file: routing,
    edits: [["    if (c.phase !== 'stable') return `it is ${c.phase}`\n    if (c.retired || c.other", '    if (c.retired || c.other']],
    ...table,
    narrow: /switching × toSwitching/,
    fails: /\+ 'switching'\n- null/,
  },
  {
    rule: 'a switch begins only where there is another side',
    file: routing,
    edits: [
      [
        "    if (c.retired || c.other.length === 0) return 'there is no other side to go to'\n    return { ...c, phase",
        '    return { ...c, phase',
      ],
    ],
    ...table,
    narrow: /retired × toSwitching/,
    fails: /\+ 'switching'\n- null/,
  },
  {
    rule: 'the decision comes from switching only',
    file: routing,
    edits: [["if (c.phase !== 'switching' || c.to === null) return", 'if (c.to === null && c.other.length === 0) return']],
    ...table,
    narrow: /opening(New|Back) × toOpening/,
    fails: /'opening' !== null|TypeError/,
  },
  {
    rule: 'stable comes from opening only',
    file: routing,
    edits: [["c.phase === 'opening' ? { ...c", "c.phase !== 'stable' ? { ...c"]],
    ...table,
    narrow: /switching × toStable/,
    fails: /'stable' !== null/,
  },
  {
    rule: 'nothing is removed before the record says retiring',
    file: routing,
    edits: [["c.phase === 'retiring' ? { ...c, phase: 'stable', retired", "c.phase !== 'switching' ? { ...c, phase: 'stable', retired"]],
    ...table,
    narrow: /stable × toRetired/,
    fails: /'stable' !== null/,
  },
  {
    rule: 'each switch has a greater epoch',
    file: routing,
    edits: [['epoch: c.epoch + 1', 'epoch: c.epoch']],
    test: 'src/topology/routing.test.ts',
    name: 'switched: sides swap, epoch grows, replica reads follow; given up: nothing of that',
    fails: /deep-equal/,
  },
  {
    rule: 'replica reads of the old side follow the primaries',
    file: routing,
    edits: [['c.serving.replica.filter((shard) => !was.includes(shard))', 'c.serving.replica']],
    test: 'src/topology/routing.test.ts',
    name: 'switched: sides swap, epoch grows, replica reads follow; given up: nothing of that',
    fails: /deep-equal/,
  },
  {
    rule: 'giving up leaves the sides as they are',
    file: routing,
    edits: [["    if (step.outcome === 'back') return { ...c, phase: 'opening', to: null }\n", '']],
    test: 'src/topology/routing.test.ts',
    name: 'switched: sides swap, epoch grows, replica reads follow; given up: nothing of that',
    fails: /deep-equal/,
  },
  {
    rule: 'retiring is refused on the wrong side',
    file: routing,
    edits: [['if (!c.serving.primary.every((shard) => step.serving.includes(shard)))', 'if (c.serving.primary.length === 0)']],
    test: 'src/topology/routing.test.ts',
    name: 'retiring is refused when the other side serves, or still answers replica reads',
    fails: /falsy|false|evaluated/,
  },
  {
    rule: 'retiring is refused while the side that goes answers replica reads',
    file: routing,
    edits: [['if (replicaAway.length > 0)', 'if (replicaAway.length > 99)']],
    test: 'src/topology/routing.test.ts',
    name: 'retiring is refused when the other side serves, or still answers replica reads',
    fails: /falsy|false|evaluated/,
  },
  {
    rule: 'two workflows on one shard are refused',
    file: routing,
    edits: [['if (part.workflow !== null) return', "if (part.workflow === '') return"]],
    test: 'src/topology/routing.test.ts',
    name: 'two workflows on one shard, and shards that do not serve, are refused',
    fails: /falsy|false|evaluated/,
  },
  {
    rule: '--shards takes whole components only',
    file: 'src/keyspace/key-range-sets.ts',
    edits: [['if (unknown.length > 0 || cut || half || touched.length === 0) {', 'if (touched.length === 0) {']],
    test: 'src/topology/routing.test.ts',
    name: '4 → 8 → 2: components merge at create, split at the end',
    fails: /Missing expected exception/,
  },
  {
    rule: 'replica reads move by themselves to the side that is meant',
    file: 'src/change/reshard-switch.ts',
    edits: [["serves.every((shard) => wanted.includes(shard)) ? 'serving' : 'other'", "serves.length > 0 ? 'other' : 'serving'"]],
    test: 'src/change/reshard.test.ts',
    name: 'replica reads go to the side that is meant, and back, before any switch',
    fails: /deep-equal/,
  },
]

const decisions: Mutation[] = [
  {
    rule: 'an older leader is refused by the token',
    file: routing,
    edits: [['  if (record.token !== token) return refuseToken(record, token)\n  try', '  try']],
    test: decideTest,
    name: 'the token first: what an older leader prepared fails from then on, and it cannot take it back',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'an older leader cannot take the token back',
    file: routing,
    edits: [['  if (record.token > token) return refuseToken(record, token)\n', '']],
    test: decideTest,
    name: 'the token first: what an older leader prepared fails from then on, and it cannot take it back',
    fails: /Missing expected rejection/,
  },
  {
    rule: "a new leader's first effect is its token",
    file: decide,
    edits: [['if (current.value.token === context.leadership.token) return current', 'if (current.version > 0) return current']],
    test: decideTest,
    name: 'the token first: what an older leader prepared fails from then on, and it cannot take it back',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'a commit that loses to another component is gone over again',
    file: decide,
    edits: [['if (own(now.value) !== before) throw', 'if (now.version !== current.version) throw']],
    test: decideTest,
    name: 'lost to another component’s change: read again, and on',
    fails: /SW-SWITCH-010/,
  },
  {
    rule: "what was decided of one's own component wins",
    file: decide,
    edits: [['if (own(now.value) !== before) throw', "if (own(now.value) === '') throw"]],
    test: decideTest,
    name: 'somebody else decided on this component: theirs holds',
    fails: /SW-TOPOLOGY-006/,
  },
  {
    rule: 'every change is a compare-and-set of the whole record',
    file: decide,
    edits: [['[{ key, version: current.version }, leadership.fence]', '[leadership.fence]']],
    test: decideTest,
    name: 'lost to another component’s change: read again, and on',
    fails: /deep-equal/,
  },
  {
    rule: "every commit carries the leader's lease",
    file: decide,
    edits: [['[{ key, version: current.version }, leadership.fence]', '[{ key, version: current.version }]']],
    test: decideTest,
    name: 'a leader whose lease ended commits nothing',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'a commit without an answer is read back',
    file: decide,
    edits: [["if (!isSwError(error) || (error.class !== 'unknown' && error.class !== 'transient')) throw error", 'throw error']],
    test: decideTest,
    name: 'read back, and done exactly once',
    fails: /SW-TOPOLOGY-002/,
  },
  {
    rule: 'a commit found done is not done again',
    file: decide,
    edits: [['if (now.version !== current.version && own', 'if (now.version === -1 && own']],
    test: decideTest,
    name: 'read back, and done exactly once',
    fails: /SW-SWITCH-010/,
  },
]

export const recordMutations: readonly Mutation[] = [...phases, ...decisions]
