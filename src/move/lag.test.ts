/** Rates, the ETA of a catch-up, and what numbers of transactions prove: from answers of a server that is made up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import type { Coordinates } from '../binlog/source.ts'
import type { Connection } from '../mysql/connection.ts'
import { LagMeter, type Follower } from './lag.ts'
import { stampOf } from './testkit/samples.ts'
import type { Stamp } from './pending.ts'

/** A MariaDB source whose binlog grows, one target, and a clock that stands until it is told. */
class MadeUp {
  atMs = 100_000
  asked: string[] = []
  end: Coordinates = { file: 'b.1', offset: 1_000_000 }
  gtids = '0-1-100'
  latest: Stamp = stampAt(0, { file: 'b.1', offset: 0 }, '0-1-0')
  applied: Stamp = this.latest
  readonly clock: Clock = { ...systemClock, monotonicMs: () => this.atMs, nowMs: () => this.atMs }
  readonly meter: LagMeter

  constructor() {
    const answers: Record<string, () => Record<string, string>[]> = {
      'SHOW MASTER STATUS': () => [{ File: this.end.file, Position: String(this.end.offset) }],
      'SHOW BINARY LOGS': () => [{ Log_name: 'b.1', File_size: String(this.end.offset) }],
    }
    const conn = {
      flavour: 'mariadb',
      value: async () => this.gtids,
      allText: async (sql: string) => (this.asked.push(sql), answers[sql]?.() ?? []),
    }
    this.meter = new LagMeter({
      conn: conn as unknown as Connection,
      clock: this.clock,
      reading: () => ({ latest: this.latest, began: null }),
      followers: [this.#follower()],
    })
  }

  #follower(): Follower {
    const stamp = (): Stamp => this.applied
    return {
      consistent: true,
      get applied() {
        return stamp()
      },
    }
  }

  /** A second passes: `written` bytes at the source, `applied` bytes at the target, which has read no further. */
  async second(written: number, applied: number): Promise<void> {
    this.atMs += 1_000
    this.end = { file: 'b.1', offset: this.end.offset + written }
    const from = this.applied.end?.offset ?? 0
    this.applied = stampAt(this.applied.ordinal + 1, { file: 'b.1', offset: from + applied }, `0-1-${this.applied.ordinal + 1}`)
    this.latest = this.applied
    await this.meter.measure()
  }
}

function stampAt(ordinal: number, end: Coordinates, gtid: string): Stamp {
  const position = `mariadb;${end.file}:${end.offset};${gtid}`
  return stampOf({ ordinal, end, position })
}

test('an ETA of a catch-up follows from what the target applies and the source goes on writing; none where the source is faster', async () => {
  const made = new MadeUp()
  await made.meter.measure()
  assert.equal(made.meter.lag(0)?.etaMs, null, 'no rate yet')
  for (let n = 0; n < 3; n++) await made.second(10_000, 60_000)
  assert.deepEqual(made.meter.rates(), { applied: 60_000, written: 10_000 })
  assert.equal(made.meter.lag(0)?.bytes, 1_030_000 - 180_000)
  assert.equal(made.meter.lag(0)?.etaMs, 17_000)
  for (let n = 0; n < 10; n++) await made.second(70_000, 60_000)
  assert.equal(made.meter.lag(0)?.etaMs, null, 'it falls behind')
  made.applied = made.latest = { ...made.applied, markerAtMs: made.atMs - 500 }
  assert.equal(made.meter.lag(0)?.etaMs, 0, 'a marker of half a second ago has come through')
})

test('promise 6: transactions are counted by MariaDB’s numbers only while those count one by one; by places once all was read', async () => {
  const made = new MadeUp()
  await made.meter.measure()
  assert.equal(made.meter.lag(0)?.transactions, 100)
  await made.second(0, 1_000)
  assert.equal(made.meter.lag(0)?.transactions, 99)
  // Somebody sets numbers by hand: one transaction is five further.
  made.applied = made.latest = stampAt(2, { file: 'b.1', offset: 2_000 }, '0-1-6')
  await made.meter.measure()
  assert.equal(made.meter.lag(0)?.transactions, null)
  made.latest = stampAt(60, made.end, '0-1-100')
  await made.meter.measure()
  assert.equal(made.meter.lag(0)?.transactions, 58, 'all was read: those that are in memory')
})

test('the source is asked once a second, and for its files only when one has begun', async () => {
  const made = new MadeUp()
  const abort = new AbortController()
  const slept: number[] = []
  made.clock.sleep = async (ms) => {
    slept.push(ms)
    made.atMs += ms
    if (slept.length === 3) abort.abort()
  }
  await made.meter.run(abort.signal)
  assert.deepEqual(slept, [1_000, 1_000, 1_000])
  assert.deepEqual(
    made.asked.filter((sql) => sql === 'SHOW BINARY LOGS'),
    ['SHOW BINARY LOGS'],
  )
  made.end = { file: 'b.2', offset: 4 }
  await made.meter.measure()
  assert.equal(made.asked.filter((sql) => sql === 'SHOW BINARY LOGS').length, 2)
})
