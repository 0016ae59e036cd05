/** Every rule of ingest and dual-write (PROTOCOLS 4) that a test on one machine can see missing. */
import { ingestFoundMutations } from './ingest-found.ts'
import type { Mutation } from './mutation.ts'

const rules = 'src/ingest/rules.db.test.ts'
const position = 'src/ingest/position-sql.ts'
const session = 'src/ingest/shard-session.ts'
const decide = 'src/ingest/decide.ts'
const ramp = 'src/switch/ramp.ts'

const writing: Mutation[] = [
  {
    rule: 'each acquisition is a greater epoch',
    file: 'src/ingest/partition-leases.ts',
    edits: [['const epoch = record.epoch + 1', 'const epoch = Math.max(1, record.epoch)']],
    test: rules,
    name: '4.1: a holder that is frozen past its lease wakes up as a zombie: it writes nothing more',
    fails: /./,
  },
  {
    rule: 'a missing position row means the start offset',
    file: position,
    edits: [['${partition},0,${start},-1,${start},0', '${partition},0,0,-1,${start},0']],
    test: rules,
    name: '4.2: a missing position row means exactly the start offset',
    fails: /0n !== 123n|Expected values/,
  },
  {
    rule: 'whoever finds a greater epoch does not write',
    file: position,
    edits: [[' AND next_offset=${a.from} AND epoch=${a.epoch}`', ' AND next_offset=${a.from}`']],
    test: rules,
    name: '4.3: whoever fences with a greater epoch ends the right of the one before',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'rows and the move of next are one transaction; all partitions or none',
    file: position,
    edits: [[' AND next_offset=${a.from} AND epoch=${a.epoch}`', ' AND epoch=${a.epoch}`']],
    test: rules,
    name: '4.4: the same offsets again are refused',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'matched rows are counted',
    file: 'src/ingest/access.ts',
    edits: [['foundRows: true', 'foundRows: false']],
    test: rules,
    name: '4.4: matched rows count, not changed ones',
    fails: /./,
  },
  {
    rule: 'after a COMMIT without an answer what the fence reads is believed',
    file: 'src/ingest/shard-lane.ts',
    edits: [['if (fenced.next > slot.next) this.#moved(partition, fenced.next, fenced.leaderEpoch)', '']],
    test: rules,
    name: '4.5: answers are lost at COMMIT',
    fails: /caught up/,
  },
  {
    rule: 'a shard that went back is filled again',
    file: decide,
    edits: [["  if (next < from) return 'went back'\n", '']],
    test: rules,
    name: '4.5: a shard that goes back',
    fails: /caught up/,
  },
  {
    rule: 'the fence rolls back what a failed write left open',
    file: session,
    edits: [["      'ROLLBACK',\n", "      'DO 0',\n"]],
    test: rules,
    name: '4.5: a write that fails on our side',
    fails: /20n !== 10n|Expected values/,
  },
  {
    rule: 'a batch made ahead goes back to the queue with the one before it',
    file: 'src/ingest/shard-lane.ts',
    edits: [['        made = null\n        this.#discardAhead()\n', '        made = null\n']],
    test: rules,
    name: 'poison: stops its partition at its offset with all before it written',
    fails: /./,
  },
  {
    rule: 'offsets are dropped before rows are merged',
    file: 'src/ingest/batch.ts',
    edits: [['if (item.record.offset < range.from) continue', '']],
    test: rules,
    name: '4.6: of a batch that was cut otherwise before',
    fails: /./,
  },
  {
    rule: 'a gap stops the partition',
    file: 'src/ingest/partition-reader.ts',
    edits: [['if (missing !== null) {', 'if (missing === undefined) {']],
    test: 'src/ingest/partition-reader.test.ts',
    name: '4.7: records that come with a log start past what was asked for are not taken',
    fails: /./,
  },
  {
    rule: 'sessions end with the lease',
    file: 'src/ingest/access.ts',
    edits: [['wait_timeout=${seconds}, innodb', 'wait_timeout=28800, innodb']],
    test: rules,
    name: '4.8: a consumer that freezes in a transaction keeps its locks no longer than its lease',
    fails: /./,
  },
  {
    rule: 'a row that another inserted meanwhile rolls the write back',
    file: session,
    edits: [["{ ...statements, tail: '' }", 'statements']],
    test: rules,
    name: '4.9: two consumers that insert one new key at once',
    fails: /./,
  },
  {
    rule: 'last and first are decided by a total order',
    file: 'src/ingest/coalesce.ts',
    edits: [['later = compareVersions(cells[i] as OrderVersion, into[i] as OrderVersion) > 0', 'later = true']],
    test: 'src/ingest/merging.test.ts',
    name: 'merging is commutative: any order of the records gives the same rows',
    fails: /./,
  },
  {
    rule: 'an event id counts once',
    file: session,
    edits: [['if (owners.has(`${claim.bucketMs}/${claim.partition}/${claim.offset}/${claim.id}`)) counted', 'counted']],
    test: rules,
    name: 'an event id counts once, though a producer sent the event to two partitions',
    fails: /./,
  },
  {
    rule: 'rows below the floor are dropped',
    file: 'src/ingest/batch.ts',
    edits: [['row.bucketMs < (floors.get(row.plan.name) ?? noFloor)', 'row.bucketMs < noFloor']],
    test: 'src/ingest/crash.db.test.ts',
    name: 'killed while purging: the floor stands before partitions go',
    fails: /./,
  },
  {
    rule: 'code that is older than what was decoded is refused',
    file: decide,
    edits: [['return newest.version > code ?', 'return newest.version > code + 100 ?']],
    test: rules,
    name: '4.12: a change of definition takes effect from one offset on',
    fails: /the refusal/,
  },
]

const comparing: Mutation[] = [
  {
    rule: 'buckets that are not whole on both branches are not compared',
    file: decide,
    edits: [['  if (lastA !== lastB) return last < begin', '  if (lastA === -2n) return last < begin']],
    test: 'src/ingest/definition.test.ts',
    name: '4.11: a bucket is comparable when both branches have the same last record of it',
    fails: /another last record/,
  },
  {
    rule: 'a bucket that a branch began within is not compared',
    file: decide,
    edits: [['.some(({ first }) => first < begin)', '.some(() => false)']],
    test: 'src/ingest/definition.test.ts',
    name: '4.11: a bucket is comparable when both branches have the same last record of it',
    fails: /./,
  },
  {
    rule: 'reads that differ are made again with purge at rest',
    file: 'src/verify/ladder/shadow-reads.ts',
    edits: [["if (first.verdict !== 'fail') return first", "if (first.verdict !== 'unknown') return first"]],
    test: 'src/verify/ladder/ladder.db.test.ts',
    name: 'L4: what one branch has purged and the other not yet is no difference',
    fails: /./,
  },
  {
    rule: 'evidence of an older plan does not make ready',
    file: 'src/change/dualwrite-ready.ts',
    edits: [['shown.planVersion !== planVersion)', 'shown.planVersion === -1)']],
    test: 'src/change/dualwrite.test.ts',
    name: 'lore: readiness of an older plan is not ready',
    fails: /./,
  },
]

const hybrid: Mutation[] = [
  {
    rule: 'an image of the version that stands is taken',
    file: 'src/ingest/upsert.ts',
    edits: [["sameVersion === 'taken' ? '>=' : '>'", "'>'"]],
    test: 'src/ingest/dimension-writer.db.test.ts',
    name: 'kept in step in the order of the binlog, replayed after crashes',
    fails: /./,
  },
  {
    rule: 'the pass begins when every old shard is past the new start',
    file: 'src/change/dimension-streams.ts',
    edits: [['if (behind !== null) return note(', 'if (behind === undefined) return note(']],
    test: 'src/change/dimension-streams.test.ts',
    name: 'the pass does not begin before every old shard is past the new start',
    fails: /./,
  },
  {
    rule: 'no ramp before the pass has landed',
    file: 'src/change/dualwrite-ready.ts',
    edits: [["dimensions?.state !== 'following')", "dimensions?.state === 'failed')"]],
    test: 'src/change/dimension-streams.test.ts',
    name: 'not ready before the pass has landed',
    fails: /./,
  },
  {
    rule: 'a step towards the new branch waits for what clients wrote',
    file: 'src/change/dualwrite-ramp.ts',
    edits: [
      ['copied.length === 0 ? needed : joinVectors(needed, await placeDimensionMarkers(store, copied))', 'needed'],
      ['copied.length === 0 ? at : joinVectors(at, await dimensionPositions(store, run, copied))', 'at'],
    ],
    test: 'test/hybrid.e2e.test.ts',
    name: 'dimensions copied and merged under a killed mover and a killed consumer',
    only: 'mariadb',
    fails: /done: undefined/,
  },
]

const reads: Mutation[] = [
  {
    rule: 'nothing is opened before every gate has acknowledged',
    file: ramp,
    edits: [['      if (event.silent.length > 0) return', '      if (event.silent.length > 99) return']],
    test: 'src/switch/ramp.test.ts',
    name: 'a step that is given up by somebody else can not open any more',
    fails: /./,
  },
  {
    rule: 'what a shard needs is of all shards of the side being left',
    file: ramp,
    edits: [['if (!keyRangesIntersect(parseKeyRange(other), range)) continue', 'if (other !== shard) continue']],
    test: 'src/switch/ramp.test.ts',
    name: 'H of a shard is what all shards of the side being left',
    fails: /./,
  },
  {
    rule: 'an opening whose compare-and-set failed is lost',
    file: ramp,
    edits: [["if (!event.done) return ended('lost', 'another step or controller changed the read rule')", '']],
    test: 'src/switch/ramp.test.ts',
    name: 'a step that is given up by somebody else can not open any more',
    fails: /./,
  },
  {
    rule: 'all partitions are looked at',
    file: ramp,
    edits: [['if (has === undefined || has < next) return', 'if (has !== undefined && has < next) return']],
    test: 'src/switch/ramp.test.ts',
    name: 'a step that is given up by somebody else can not open any more',
    fails: /./,
  },
]

const carrying: Mutation[] = [
  {
    rule: 'old shards that do not stand alike are not merged',
    file: 'src/ingest/carry.ts',
    edits: [['if (!starts || at.some(({ next }) => next !== at[0]?.next)) {', 'if (!starts) {']],
    test: 'src/ingest/carry.test.ts',
    name: 'two old shards that do not stand alike',
    fails: /./,
  },
  {
    rule: 'the new shards begin with the positions of the old',
    file: 'src/ingest/carry.ts',
    edits: [['  if (positions.length === 0) return\n  const values', '  if (positions.length > -1) return\n  const values']],
    test: 'src/change/fleet-carry.db.test.ts',
    name: '2 → 4, 4 → 2 and back under a running fleet',
    fails: /./,
  },
]

const checks = 'src/change/dualwrite-checks.db.test.ts'
const watched = 'who writes the old branch is watched on'
const others: Mutation[] = [
  {
    rule: 'a look goes on where the last one ended',
    file: 'src/change/writers-watch.ts',
    edits: [['  let at = from\n', '  let at = null as typeof from\n']],
    test: checks,
    name: watched,
    fails: /it is found later/,
  },
  {
    rule: 'binlogs that are gone are told',
    file: 'src/change/writers-watch.ts',
    edits: [['await note({ server, at, found: null, gap })', 'await note({ server, at, found: null, gap: null })']],
    test: checks,
    name: watched,
    fails: /the gap is told/,
  },
  {
    rule: 'a fleet is known by its position rows',
    file: 'src/change/foreign-groups.ts',
    edits: [['if (schema === controlSchema) group.marked = true', 'if (schema === controlSchema) group.marked = false']],
    test: checks,
    name: watched,
    fails: /./,
  },
  {
    rule: 'a server that is not looked at lets nothing proceed',
    file: 'src/change/writers-seen.ts',
    edits: [['(servers[id]?.lookedAtMs ?? -Infinity) > staleMs', '(servers[id]?.lookedAtMs ?? -Infinity) > Infinity']],
    test: 'src/change/writers-seen.test.ts',
    name: 'promise 6: a server that is not looked at',
    fails: /./,
  },
  {
    rule: 'two scratch branches see two clocks',
    file: 'src/change/scratch-branches.ts',
    edits: [['(i === 0 ? definition : underOtherClock(definition))', 'definition']],
    test: checks,
    name: 'rows that depend on chance or on the clock',
    fails: /differ in slow/,
  },
]

const ending: Mutation[] = [
  {
    rule: 'of a shared server only what the run closed is opened',
    file: 'src/change/old-side-fence.ts',
    edits: [['await openServer(server, undefined, schemas)', 'await openServer(server)']],
    test: 'src/change/old-side-fence.db.test.ts',
    name: 'promise 2: the old side of a hand-over is closed by its server',
    fails: /not ours to open/,
  },
  {
    rule: 'on a shared server rows of its own tables tell who reads',
    file: 'src/change/server-reads.ts',
    edits: [['shared ? await rowsByTable(connection, mine, place.served) : await', 'shared ? new Map() : await']],
    test: 'src/change/server-reads.db.test.ts',
    name: 'where others have tables too, what counts is rows read of ours',
    fails: /somebody/,
  },
]

export const ingestMutations: readonly Mutation[] = [
  ...writing,
  ...comparing,
  ...hybrid,
  ...reads,
  ...carrying,
  ...others,
  ...ending,
  ...ingestFoundMutations,
]
