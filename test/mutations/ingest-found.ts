/** Mends of ingest and fleets that reading found: each with the test that fails without it. */
import type { Mutation } from './mutation.ts'

const decide = 'src/ingest/decide.ts'
const fleets = 'src/change/fleets.test.ts'
const lanes = 'src/ingest/shard-lane.test.ts'

export const ingestFoundMutations: readonly Mutation[] = [
  {
    rule: 'a topic has one fleet a branch',
    file: 'src/change/fleets.ts',
    edits: [['    if (other !== undefined) throw', '    if (other === null) throw']],
    test: fleets,
    name: 'a topic has one fleet a branch',
    fails: /Missing expected rejection/,
  },
  {
    rule: 'fleets that are made at once are told apart',
    file: 'src/change/fleets.ts',
    edits: [['[absent(keys.fleet(name)), unchanged(record)]', '[absent(keys.fleet(name))]']],
    test: fleets,
    name: 'two fleets of one topic that are made at once: one of them is',
    fails: /./,
  },
  {
    rule: 'epochs go with their branch',
    file: 'src/change/branches.ts',
    edits: [[', ...(await epochsOfBranch(store, keyspace, branch))]', ']']],
    test: fleets,
    name: 'a branch that is deleted and made anew begins anew',
    fails: /began at offset 5/,
  },
  {
    rule: 'a session ends when a shard is on another server',
    file: 'src/ingest/built-on.ts',
    edits: [['[uid, serverId, schema]', '[uid, schema]']],
    test: 'src/ingest/built-on.test.ts',
    name: 'a session is built on the servers of the shards that serve',
    fails: /./,
  },
  {
    rule: 'positions over offsets without rows go along with what is written',
    file: 'src/ingest/shard-lane.ts',
    edits: [['    if (this.#lazyDue(passed)) {', '    if (this.#lazyDue(passed) && this.#flushing) {']],
    test: lanes,
    name: '4.6: positions move over offsets without rows also behind a backlog that never ends',
    fails: /positions without rows/,
  },
  {
    rule: 'a record that stops its partition drops what is queued of no other',
    file: 'src/ingest/shard-lane.ts',
    edits: [['else this.#queue.drop(only.record.partition)', 'else for (const { partition } of ranges) this.#queue.drop(partition)']],
    test: lanes,
    name: 'a record that stops its partition leaves what is queued of the partitions',
    fails: /all of the other partition/,
  },
  {
    rule: 'a record that has rows on other shards is no dead letter',
    file: 'src/ingest/partition-reader.ts',
    edits: [['if (shards === 1 || this', 'if (shards > 0 || this']],
    test: 'src/ingest/partition-reader.test.ts',
    name: 'dead letters: a record that one shard refuses is one only if it has no rows elsewhere',
    fails: /./,
  },
  {
    rule: 'what waits for a shard is copied',
    file: 'src/ingest/kept.ts',
    edits: [['key: letter ? into.copy(key) : null, value: letter ? into.copy(value) : null', 'key, value']],
    test: 'src/ingest/kept.test.ts',
    name: 'promise 8: a small record that waits does not keep the batch that brought it',
    fails: /held/,
  },
  {
    rule: 'an attempt to read that fails moves no cursor',
    file: 'src/topic/log/log-topic.ts',
    edits: [['for (const { cursor, from } of before) await cursor.restart(from)', '']],
    test: 'src/topic/log/log-topic.test.ts',
    name: 'an attempt that fails in its second partition gives back what it took of the first',
    fails: /partition 0/,
  },
  {
    rule: 'a partition that rests holds no floor',
    file: 'src/ingest/topic-time.ts',
    edits: [['>= this.#restMs && readToEnd', '>= Infinity && readToEnd']],
    test: 'src/ingest/topic-time.test.ts',
    name: '4.10: a partition that is empty, or lost its producer, holds nothing back once it has rested',
    fails: /./,
  },
  {
    rule: 'the floor goes by the partition that is least far',
    file: 'src/ingest/topic-time.ts',
    edits: [['ms < least.ms)', 'ms > least.ms)']],
    test: 'src/ingest/topic-time.test.ts',
    name: '4.10: one clock that runs ahead moves nothing while another partition has none such',
    fails: /./,
  },
  {
    rule: 'last records that differ and are passed by all are a difference',
    file: decide,
    edits: [['if (lost.length > 0) lacking', 'if (lost.length > 99) lacking']],
    test: 'src/ingest/definition.test.ts',
    name: '4.11: last records that differ though all shards of both branches are past them are proof',
    fails: /is missing/,
  },
  {
    rule: 'events that race for their ids prove nothing by their marks',
    file: decide,
    edits: [["claimed === 'each record' ?", "claimed !== 'nothing' ?"]],
    test: 'src/ingest/definition.test.ts',
    name: '4.11: last records that differ though all shards of both branches are past them are proof',
    fails: /is missing/,
  },
]
