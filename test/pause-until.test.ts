/** `--pause-until` from what is typed to the moment at which the copy goes on (PROTOCOLS 1.14). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../src/base/clock.ts'
import { paceLimits } from '../src/cli/pace.ts'
import { moverDefaults } from '../src/move/config.ts'
import { Throttle } from '../src/move/throttle.ts'

/** Local times are those of the zone of whoever types them. */
function inZone<T>(zone: string, work: () => T): T {
  const before = process.env['TZ']
  process.env['TZ'] = zone
  try {
    return work()
  } finally {
    if (before === undefined) delete process.env['TZ']
    else process.env['TZ'] = before
  }
}

const cases: { typed: string; zone: string; now: string; until: string; why: string }[] = [
  { typed: '06:00', zone: 'UTC', now: '2026-11-30T05:59:59.999Z', until: '2026-11-30T06:00:00Z', why: 'it is still to come today' },
  { typed: '06:00', zone: 'UTC', now: '2026-11-30T06:00:00Z', until: '2026-12-01T06:00:00Z', why: 'it is now: the next one' },
  {
    typed: '06:00',
    zone: 'UTC',
    now: '2026-12-31T22:15:00Z',
    until: '2027-01-01T06:00:00Z',
    why: 'it has been today, and tomorrow is another year',
  },
  { typed: '6:05', zone: 'Asia/Kolkata', now: '2026-11-30T00:00:00Z', until: '2026-11-30T00:35:00Z', why: 'local time, and one digit' },
  { typed: '06:00', zone: 'America/New_York', now: '2026-11-30T10:00:00Z', until: '2026-11-30T11:00:00Z', why: 'local time' },
  {
    typed: '06:00',
    zone: 'Europe/Berlin',
    now: '2026-03-28T05:30:00Z',
    until: '2026-03-29T04:00:00Z',
    why: 'the night in between is an hour shorter',
  },
  {
    typed: '06:00',
    zone: 'Europe/Berlin',
    now: '2026-10-24T05:00:00Z',
    until: '2026-10-25T05:00:00Z',
    why: 'the night in between is an hour longer',
  },
  {
    typed: '02:30',
    zone: 'Europe/Berlin',
    now: '2026-03-28T23:00:00Z',
    until: '2026-03-29T01:30:00Z',
    why: 'no clock shows it that night: an hour later on the clock',
  },
  { typed: '2h', zone: 'UTC', now: '2026-11-30T05:00:00Z', until: '2026-11-30T07:00:00Z', why: 'a duration' },
  {
    typed: '2026-12-01T06:00',
    zone: 'Asia/Kolkata',
    now: '2026-11-30T05:00:00Z',
    until: '2026-12-01T00:30:00Z',
    why: 'a date, in local time',
  },
  {
    typed: '2026-12-01',
    zone: 'Asia/Kolkata',
    now: '2026-11-30T05:00:00Z',
    until: '2026-11-30T18:30:00Z',
    why: 'a date begins at its local midnight',
  },
]

for (const { typed, zone, now, until, why } of cases) {
  test(`1.14: --pause-until ${typed} at ${now} (${zone}) lasts until ${until}, and then the copy goes on: ${why}`, async () => {
    let nowMs = Date.parse(now)
    const limits = { ...moverDefaults.pace, ...inZone(zone, () => paceLimits({ pauseUntil: typed }, nowMs)) }
    assert.equal(new Date(limits.pausedUntilMs ?? 0).toISOString(), new Date(until).toISOString())
    const clock: Clock = {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      // Time passes in pieces, as limits may change while it waits.
      sleep: async (ms) => {
        nowMs += Math.min(ms, 60_000)
      },
    }
    const throttle = new Throttle(clock, () => limits)
    await throttle.take({ bytes: 1, readMs: 1 }, new AbortController().signal)
    assert.equal(new Date(nowMs).toISOString(), new Date(until).toISOString())
    assert.equal(throttle.waiting, null)
    await throttle.take({ bytes: 1, readMs: 1 }, new AbortController().signal)
    assert.equal(nowMs, Date.parse(until), 'once')
  })
}

test('1.14: --pause-until refuses what is no time of a day, no duration and no date', () => {
  for (const typed of ['24:00', '06:60', '12.30', 'tomorrow']) {
    assert.throws(() => paceLimits({ pauseUntil: typed }, 0), { code: /^SW-CLI-/ }, typed)
  }
})
