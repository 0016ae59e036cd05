/** The decision table of PROTOCOLS 5, row by row; and unknown is never taken for fitting (promise 6). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { assume, parseAmount } from './assume.ts'
import type { FigureName, PlanInput } from './figures.ts'
import { plan } from './plan.ts'
import type { PlanResult, Way, WayPlan } from './result.ts'
import { ways } from './result.ts'
import { fact, sample } from './testkit/sample.ts'
import { day } from './text.ts'

const of = (result: PlanResult, way: Way): WayPlan => result.ways.find((one) => one.way === way)!
const blocking = (result: PlanResult, way: Way): string =>
  of(result, way)
    .reasons.filter((reason) => reason.weight === 'blocks')
    .map((reason) => reason.text)
    .join('; ')

describe('the published example', () => {
  const result = plan(sample())
  test('Rk 3 d of 8 d is less than half: wait is advised, and pin+wait would take 5.1 d', () => {
    assert.equal(result.advice.way, 'wait')
    assert.equal(of(result, 'wait').readySeconds, 8 * day)
    assert.ok(Math.abs((of(result, 'pin+wait').readySeconds as number) - 5.1 * day) < 1e-6)
    assert.equal(of(result, 'pin').fits, 'unfit')
    assert.match(blocking(result, 'pin'), /holds 3 d, less than the rows' 8 d/)
  })
  test('Rk 5 d: pin+wait; Rk 9 d: pin, ready in 4 d', () => {
    assert.equal(plan(sample({ topicRetentionSeconds: 5 * day })).advice.way, 'pin+wait')
    const long = plan(sample({ topicRetentionSeconds: 9 * day }))
    assert.equal(long.advice.way, 'pin')
    assert.equal(of(long, 'pin').readySeconds, 4 * day)
  })
  test('cost: 2 × consumers, storage, writes, 1 × reads; (T_ready + H) hours of shards and consumers', () => {
    const { cost } = of(result, 'wait')
    assert.deepEqual([cost.consumers, cost.storage, cost.writes, cost.reads, cost.topicFetches], [2, 2, 2, 1, 2])
    assert.equal(cost.shardHours, 15 * 24 * 8)
    assert.equal(cost.consumerHours, 15 * 24 * 32)
    assert.equal(cost.total, 4032)
    assert.equal(of(result, 'replicate').cost.consumers, 1)
  })
  test('peak: pin fetches (r + w)/r times as much, wait twice', () => {
    assert.equal(of(result, 'pin').peak.topicFetchTimes, 4)
    assert.equal(of(result, 'wait').peak.topicFetchTimes, 2)
    assert.equal(of(result, 'replicate').peak.sourceReadBytesPerSecond, 160e6)
  })
})

describe('decision table', () => {
  const rows: { name: string; input: PlanInput; expect: Way | null; blocked?: readonly Way[]; because?: RegExp }[] = [
    {
      name: 'another writer: replicate',
      input: sample({}, { otherWriters: fact([{ who: 'batch@10.0.0.7', tables: ['hourly'] }]) }),
      expect: 'replicate',
      blocked: ['wait', 'pin', 'pin+wait', 'hybrid'],
      because: /batch@10\.0\.0\.7 writes hourly/,
    },
    {
      name: 'rows that never expire: replicate',
      input: sample({}, { neverExpires: fact(['databases']) }),
      expect: 'replicate',
      blocked: ['wait', 'pin', 'pin+wait', 'hybrid'],
      because: /never expire.*databases/,
    },
    {
      name: 'rows that never expire, declared as dimensions, and a writer of those only: hybrid',
      input: sample(
        { dimensionBytes: 1e9 },
        { dimensionTables: fact(['databases']), otherWriters: fact([{ who: 'console@%', tables: ['databases'] }]) },
      ),
      expect: 'hybrid',
      blocked: ['wait', 'pin', 'pin+wait'],
    },
    {
      name: 'retention unbounded: replicate',
      input: sample({ storeRetentionSeconds: 'unbounded' }),
      expect: 'replicate',
      blocked: ['wait', 'pin'],
    },
    { name: '90 days: replicate where it fits', input: sample({ storeRetentionSeconds: 90 * day }), expect: 'replicate' },
    {
      name: '90 days, and production must not feel a copy: borderline',
      input: sample({ storeRetentionSeconds: 90 * day }, { productionMayFeelCopy: fact(false) }),
      expect: 'wait',
      blocked: ['replicate'],
      because: /borderline/,
    },
    {
      name: 'a year: wrong',
      input: sample({ storeRetentionSeconds: 365 * day }, { productionMayFeelCopy: fact(false) }),
      expect: null,
      blocked: ['wait', 'pin', 'pin+wait'],
    },
    { name: 'no pause of writes: dual-write', input: sample({}, { pauseAllowed: fact(false) }), expect: 'wait', blocked: ['replicate'] },
    {
      name: 'two clusters cannot be afforded: replicate',
      input: sample({}, { twoClusters: fact(false) }),
      expect: 'replicate',
      blocked: ['wait', 'pin+wait'],
    },
    {
      name: 'b/a above 0.7: dual-write, and replicate is borderline',
      input: sample({ storeRetentionSeconds: 20 * day, applyBytesPerSecond: 5e6 }),
      expect: 'wait',
    },
    {
      name: 'binlogs too short: dual-write',
      input: sample({ storeRetentionSeconds: 20 * day, binlogRetentionSeconds: 600 }),
      expect: 'wait',
      blocked: ['replicate'],
      because: /is needed/,
    },
    {
      name: 'schema changes too: dual-write',
      input: sample({ storeRetentionSeconds: 20 * day }, { rebuilds: fact(true) }),
      expect: 'wait',
      blocked: ['replicate'],
    },
    {
      name: 'reads must see their own writes: replicate',
      input: sample({}, { readYourWrites: fact(true) }),
      expect: 'replicate',
      blocked: ['wait', 'hybrid'],
    },
    {
      name: 'cross-database foreign keys: replicate',
      input: sample({}, { crossDatabase: fact(['fk_other']) }),
      expect: 'replicate',
      blocked: ['wait'],
    },
    {
      name: 'not deterministic: replicate',
      input: sample({}, { deterministic: fact(false) }),
      expect: 'replicate',
      blocked: ['wait', 'pin'],
    },
    {
      name: 'w/r below 1.3: capacity first, neither',
      input: sample({ fleetEventsPerSecond: 12_900 }),
      expect: null,
      blocked: [...ways],
      because: /1\.3/,
    },
    { name: 'disks too small: neither', input: sample({ targetFreeBytes: 100e9 }), expect: null, blocked: [...ways] },
    {
      name: 'cardinality that outgrows the disks before the old side goes',
      input: sample({ growthPerDay: 0.15 }),
      expect: 'replicate',
      blocked: ['wait'],
    },
  ]
  for (const { name, input, expect, blocked = [], because } of rows) {
    test(name, () => {
      const result = plan(input)
      assert.equal(result.advice.way, expect, result.advice.because.join('; '))
      for (const way of blocked) assert.equal(of(result, way).fits, 'unfit', `${way} fits`)
      if (because !== undefined) assert.match([...result.advice.because, ...ways.map((way) => blocking(result, way))].join('\n'), because)
    })
  }
  test('90 days is borderline by itself, 8 days is not', () => {
    assert.equal(of(plan(sample({ storeRetentionSeconds: 90 * day })), 'wait').fits, 'borderline')
    assert.equal(of(plan(sample()), 'wait').fits, 'fits')
  })
})

test('promise 6: whatever decides and is not known, the way is never called fitting', () => {
  const deciding: Readonly<Record<Exclude<Way, 'hybrid'>, readonly FigureName[]>> = {
    replicate: ['binlogBytesPerSecond', 'applyBytesPerSecond', 'binlogRetentionSeconds', 'sourceBytes', 'readBytesPerSecond'],
    wait: ['storeRetentionSeconds'],
    pin: ['storeRetentionSeconds', 'topicRetentionSeconds', 'eventsPerSecond', 'fleetEventsPerSecond'],
    'pin+wait': ['storeRetentionSeconds', 'topicRetentionSeconds', 'eventsPerSecond', 'fleetEventsPerSecond'],
  }
  for (const [way, figures] of Object.entries(deciding)) {
    const base = sample({ topicRetentionSeconds: 9 * day })
    assert.equal(of(plan(base), way as Way).fits, 'fits')
    for (const figure of figures) {
      const got = of(plan(assume(base, [`${figure}=unknown`])), way as Way)
      assert.equal(got.fits, 'unknown', `${way} without ${figure}`)
    }
    if (way !== 'replicate')
      for (const name of ['otherWriters', 'neverExpires', 'topicTables', 'crossDatabase'])
        assert.equal(of(plan(assume(base, [`${name}=unknown`])), way as Way).fits, 'unknown', `${way} without ${name}`)
  }
})

test('a plan of any figures has every way, reasons with fixes, and no NaN', () => {
  const amount = fc.oneof(fc.double({ min: 0, max: 1e12, noNaN: true }), fc.constantFrom('unknown' as const, 'unbounded' as const))
  const names = Object.keys(sample().figures) as FigureName[]
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), amount), (figures) => {
      const result = plan(sample(figures))
      assert.equal(result.ways.length, ways.length)
      assert.doesNotMatch(JSON.stringify(result.ways), /null|NaN|Infinity/)
      for (const one of result.ways)
        for (const reason of one.reasons) {
          if (reason.weight === 'blocks' || reason.weight === 'lacks' || reason.weight === 'strains')
            assert.notEqual(reason.fix, '', reason.text)
        }
      const advised = result.ways.find((one) => one.way === result.advice.way)
      if (advised !== undefined) assert.ok(advised.fits === 'fits' || advised.fits === 'borderline')
    }),
  )
})

describe('--assume', () => {
  test('units, symbols and names; what was given says so', () => {
    const input = assume(sample(), [
      'Rd=90d',
      'topicRetentionSeconds=36h',
      'S=2TiB',
      'copyDuty=50%',
      'otherWriters=batch@%:hourly+slow,x',
      'pauseAllowed=no',
    ])
    assert.equal(input.figures.storeRetentionSeconds.value, 90 * day)
    assert.equal(input.figures.topicRetentionSeconds.value, 1.5 * day)
    assert.equal(input.figures.sourceBytes.value, 2 * 2 ** 40)
    assert.equal(input.figures.copyDuty.value, 0.5)
    assert.deepEqual(input.facts.otherWriters.value, [
      { who: 'batch@%', tables: ['hourly', 'slow'] },
      { who: 'x', tables: [] },
    ])
    assert.equal(input.facts.pauseAllowed.value, false)
    assert.equal(input.figures.storeRetentionSeconds.source, 'given')
  })
  test('what it does not know it names', () => {
    assert.throws(() => assume(sample(), ['storeRetentionSecond=8d']), { code: 'SW-PLAN-001', message: /did you mean/ })
    assert.throws(() => parseAmount('Rd', '8x', 'seconds'), { code: 'SW-PLAN-002' })
    assert.throws(() => assume(sample(), ['pauseAllowed=maybe']), { code: 'SW-PLAN-002' })
  })
})
