/** The order of the steps, and which way each failure goes, with effects that only write down what was asked of them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { ControllerDied, noSwitchFailpoint } from './crash-points.ts'
import type { SwitchEffects } from './effects.ts'
import { switchErrors } from './errors.ts'
import { switchReportText } from './report.ts'
import { runSwitch } from './switch.ts'

const side = { shards: [], serverIds: [] }

function effectsOf(log: string[], fail: Record<string, () => unknown> = {}): SwitchEffects {
  const call = async <T>(name: string, result: T): Promise<T> => {
    log.push(name)
    const thrown = await fail[name]?.()
    if (thrown !== undefined) throw thrown
    return result
  }
  let drains = 0
  return {
    preflight: () => call('preflight', { blockers: [], notes: [] }),
    prepare: () => call('prepare', []),
    hold: () => call('hold', undefined),
    gatesAcknowledge: () => call('gates', { gates: 1, silent: [], open: 0 }),
    requireClosed: () => call('requireClosed', undefined),
    lockTables: () => call('lockTables', []),
    drain: () => call(`drain${++drains}`, undefined),
    raiseIds: () => call('ids', []),
    closeServing: () => call('closeServing', []),
    releaseTableLocks: () => call('release', undefined),
    dropObjects: () => call('drop objects', undefined),
    makeObjects: () => call('make objects', []),
    proveWayBack: () => call('prove', undefined),
    carryRows: () => call('carry', []),
    decide: (outcome) => call(`decide ${outcome}`, undefined),
    finish: () => call('finish', []),
    dropSessions: () => call('dropSessions', undefined),
    holds: () => call('holds', null),
    close: () => call('close', undefined),
  }
}

async function run(
  fail: Record<string, () => unknown> = {},
  options: { limitMs?: number; signal?: AbortSignal; dieAt?: string; triggers?: 'at-switch' } = {},
) {
  const log: string[] = []
  const report = await runSwitch({
    plan: { keyspace: 'app', workflow: 'w', from: side, to: side, triggers: options.triggers ?? 'refuse' },
    effects: effectsOf(log, fail),
    dryRun: false,
    clock: systemClock,
    log: silentLog,
    signal: options.signal ?? new AbortController().signal,
    limitMs: options.limitMs ?? 5_000,
    failpoint:
      options.dieAt === undefined
        ? noSwitchFailpoint
        : async (point) => {
            if (point === options.dieAt) throw new ControllerDied(point)
          },
    undo: 'undo',
  }).then(
    (value) => value,
    (error: unknown) => error as Error,
  )
  return { log, report }
}

const ahead = [
  'preflight',
  'prepare',
  'hold',
  'gates',
  'requireClosed',
  'lockTables',
  'drain1',
  'ids',
  'closeServing',
  'release',
  'drain2',
  'prove',
  'carry',
]

describe('the order of a switch', () => {
  test('the ten steps', async () => {
    const { log, report } = await run()
    assert.deepEqual(log, [...ahead, 'decide switched', 'finish', 'holds', 'close'])
    assert(!(report instanceof Error) && report.outcome === 'switched' && report.undo === 'undo')
    assert.match(switchReportText(report), /undo: undo/)
  })

  test('triggers that move: gone from the old side before the last drains, on the new one after them: no stream writes where they stand', async () => {
    const { log } = await run({}, { triggers: 'at-switch' })
    const moved = ahead.toSpliced(ahead.indexOf('drain2'), 0, 'drop objects')
    assert.deepEqual(log, [...moved, 'make objects', 'decide switched', 'finish', 'holds', 'close'])
  })

  test('triggers that the new side refuses: given up', async () => {
    const { log, report } = await run({ 'make objects': () => new Error('no') }, { triggers: 'at-switch' })
    assert(!(report instanceof Error) && report.outcome === 'given up')
    assert.deepEqual(log.slice(-4), ['decide back', 'finish', 'holds', 'close'])
  })

  test('blocked before anything was touched', async () => {
    const log: string[] = []
    const effects = {
      ...effectsOf(log),
      preflight: async () => ({
        blockers: [switchErrors.noMover({ source: '-', ageMs: 1 }), switchErrors.serverUnreachable({ server: 'n', reason: 'x' })],
        notes: [],
      }),
    }
    const report = await runSwitch({
      plan: { keyspace: 'app', workflow: 'w', from: side, to: side },
      effects,
      dryRun: false,
      clock: systemClock,
      log: silentLog,
      signal: new AbortController().signal,
      limitMs: 1_000,
      failpoint: noSwitchFailpoint,
      undo: '',
    })
    assert.equal(report.outcome, 'refused')
    assert.equal(report.blockers.length, 2, 'all at once')
    assert.deepEqual(log, ['close'])
  })

  for (const step of [
    'hold',
    'gates',
    'requireClosed',
    'lockTables',
    'drain1',
    'ids',
    'closeServing',
    'release',
    'drain2',
    'prove',
    'carry',
    'decide switched',
  ]) {
    test(`${step} fails: given up by the deciding commit, before anything is opened or unlocked`, async () => {
      const { log, report } = await run({ [step]: () => new Error('no') })
      assert(!(report instanceof Error), String(report))
      assert.equal(report.outcome, 'given up')
      assert.deepEqual(log.slice(log.indexOf('decide back')), ['decide back', 'finish', 'holds', 'close'])
      assert(!log.slice(0, log.indexOf('decide back')).includes('finish'))
    })
  }

  test('somebody else decided: nothing more is done', async () => {
    for (const error of [switchErrors.decisionLost({ keyspace: 'app', reason: '' }), switchErrors.steppedDown({ server: 'f' })]) {
      const { log, report } = await run({ 'decide switched': () => error })
      assert.equal(report, error)
      assert(!log.includes('decide back') && !log.includes('finish'))
    }
  })

  test('the lead is lost: nothing more is done', async () => {
    const lead = new AbortController()
    const { log, report } = await run({ drain2: () => lead.abort(new Error('lost')) }, { signal: lead.signal })
    assert(report instanceof Error)
    assert(!log.includes('decide back') && !log.includes('decide switched') && !log.includes('finish'))
  })

  test('time is up in a step that hangs: its sessions are ended, it is waited for, then given up', { timeout: 5_000 }, async () => {
    let end: () => void = () => undefined
    const hangs = new Promise<void>((resolve) => (end = resolve))
    const log: string[] = []
    const ended = (): Error => {
      log.push('closeServing is over')
      return new Error('its session was ended')
    }
    const effects: SwitchEffects = {
      ...effectsOf(log, { closeServing: () => hangs.then(ended) }),
      dropSessions: async () => {
        log.push('dropSessions')
        setTimeout(end, 30)
      },
    }
    const report = await runSwitch({
      plan: { keyspace: 'app', workflow: 'w', from: side, to: side },
      effects,
      dryRun: false,
      clock: systemClock,
      log: silentLog,
      signal: new AbortController().signal,
      limitMs: 50,
      failpoint: noSwitchFailpoint,
      undo: '',
    })
    assert.equal(report.outcome, 'given up')
    assert.equal(report.error?.code, 'SW-SWITCH-026')
    assert.deepEqual(log.slice(-6), ['dropSessions', 'closeServing is over', 'decide back', 'finish', 'holds', 'close'])
  })

  test('the limit does not cut the deciding commit', async () => {
    const { report } = await run({ 'decide switched': () => systemClock.sleep(120) }, { limitMs: 60 })
    assert(!(report instanceof Error) && report.outcome === 'switched')
  })
})
