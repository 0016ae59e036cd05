/** The page in a real browser, as control serves it, fed with statuses made for each case. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { tmpdir } from 'node:os'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import type { BrowserContext, Page } from 'playwright-core'
import { startFakeControl } from './kit/console-feed.ts'
import type { FakeControl } from './kit/console-feed.ts'
import {
  dualWriteStatus,
  followingStream,
  fourShards,
  gate,
  keyspace,
  status,
  stream,
  switchedStatus,
  workflow,
} from './kit/console-status.ts'

const projectDir = join(import.meta.dirname, '..')
const dir = join(projectDir, 'dist', 'console')
const browser = ['/usr/bin', ...(process.env['PATH'] ?? '').split(delimiter)]
  .map((path) => join(path, 'chromium'))
  .find((path) => existsSync(path))
const skip = browser === undefined ? 'no chromium at /usr/bin/chromium or on PATH: the page is not tested' : false
const limitMs = 10_000
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

let context: BrowserContext
let profile: string

before(async () => {
  if (browser === undefined) return
  const built = spawnSync(process.execPath, [join(projectDir, 'scripts', 'build-console.mjs')], { encoding: 'utf8' })
  assert.equal(built.status, 0, built.stderr)
  profile = mkdtempSync(join(tmpdir(), 'sw-browser-'))
  context = await chromium.launchPersistentContext(profile, {
    executablePath: browser,
    headless: true,
    args: flags,
    viewport: { width: 1280, height: 800 },
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  context.setDefaultTimeout(limitMs)
})

after(async () => {
  if (browser === undefined) return
  await context.close()
  rmSync(profile, { recursive: true, force: true })
})

type Opened = { readonly page: Page; readonly control: FakeControl; readonly complaints: string[] }

/** Opens the page; whatever the browser complained of, or was asked from elsewhere, fails the test. */
async function opened(
  first: Parameters<typeof startFakeControl>[1],
  work: (opened: Opened) => Promise<void>,
  token?: string,
): Promise<void> {
  await using control = await startFakeControl(dir, first, token)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    // That control does not answer is told by the page itself.
    if (message.type() === 'error' && !/status of (401|503)/.test(message.text())) complaints.push(message.text())
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(control.url) && !request.url().startsWith('data:')) complaints.push(`asked for ${request.url()}`)
  })
  try {
    await page.goto(control.url)
    await work({ page, control, complaints })
    assert.deepEqual(complaints, [])
  } finally {
    await page.close()
  }
}

/** A quadrant of the ring by the middle of an arc's box, clockwise from the upper right. */
async function quadrant(page: Page, shard: string): Promise<number> {
  return page.locator(`.ring [data-shard="${shard}"]`).evaluate((arc) => {
    const { x, y, width, height } = (arc as SVGGraphicsElement).getBBox()
    const [right, below] = [x + width / 2 > 0, y + height / 2 > 0]
    return right ? (below ? 1 : 0) : below ? 2 : 3
  })
}

const text = async (page: Page, selector: string): Promise<string> => (await page.locator(selector).innerText()).replaceAll(/\s+/g, ' ')

test('a copy under way: ring, phases, progress, rate and ETA', { skip }, async () => {
  await opened(status(), async ({ page }) => {
    await page.locator('.ring [data-role="filling"]').first().waitFor()
    assert.equal(await page.locator('.ring [data-role="serving"]').count(), 1)
    assert.equal(await page.locator('.ring [data-role="filling"]').count(), 4)
    for (const [index, shard] of fourShards.entries()) {
      assert.equal(await page.locator(`.ring [data-shard="${shard}"]`).getAttribute('data-filled'), '0.25')
      assert.equal(await quadrant(page, shard), index, shard)
    }
    const phases = await page
      .locator('[data-phase]')
      .evaluateAll((steps) => steps.map((step) => `${step.getAttribute('data-phase')} ${step.getAttribute('data-state')}`))
    assert.deepEqual(phases, ['create done', 'copy current', 'follow pending', 'vdiff pending', 'switch pending', 'complete pending'])
    assert.equal(await page.locator('[data-progress="copy"] [role="progressbar"]').getAttribute('aria-valuenow'), '25')
    const progress = await text(page, '[data-progress="copy"]')
    for (const part of ['25.0 % copied', '100,000 of about 400,000', '50,000/s', 'left 6.0 s']) assert.ok(progress.includes(part), progress)
    assert.ok((await text(page, '[data-mover="mover-1"]')).includes('150 MiB'))
    assert.equal(await text(page, '[data-measure="statements"]'), '612/s')
    assert.equal(await text(page, '[data-measure="slowest write"]'), '42 ms')
  })
})

test('unknown is shown as unknown, never as zero (promise 6)', { skip }, async () => {
  const nothingHeard = stream({
    state: 'unknown',
    reportAgeMs: null,
    rowsDone: 0,
    rowsEstimated: 0,
    rowsPerSecond: null,
    etaMs: null,
    tables: [],
  })
  const first = status({
    gates: [gate({ fresh: false, statementsPerSecond: 0, slowestWriteMs: 0 })],
    workflows: [workflow({ streams: [nothingHeard] })],
  })
  await opened(first, async ({ page, control }) => {
    await page.locator('.ring [data-filled="unknown"]').first().waitFor()
    assert.equal(await page.locator('.ring .fill-unknown').count(), 4)
    assert.equal(await page.locator('.ring .fill').count(), 0)
    for (const measure of ['statements', 'errors', 'slowest write'])
      assert.equal(await text(page, `[data-measure="${measure}"]`), 'unknown')
    assert.equal(await text(page, '[data-stream] [data-field="lag"]'), 'unknown')
    assert.equal(await page.locator('[data-phase="copy"]').getAttribute('data-state'), 'unknown')
    const bar = page.locator('[data-progress="copy"] [role="progressbar"]')
    assert.equal(await bar.getAttribute('aria-valuetext'), 'unknown')
    assert.equal(await bar.getAttribute('aria-valuenow'), null)
    const progress = await text(page, '[data-progress="copy"]')
    assert.ok(!/\b0\b/.test(progress), progress)
    assert.ok((await text(page, '[data-gate]')).includes('unknown'))
    // And a lag that was known is unknown again as soon as the status says so.
    control.tell(status({ workflows: [workflow({ state: 'running', streams: [followingStream()] })] }))
    await page.locator('[data-field="lag"]', { hasText: '85 ms, 12 transactions, 3.3 KiB' }).waitFor()
    control.tell(status({ workflows: [workflow({ state: 'running', streams: [followingStream({ lag: null })] })] }))
    await page.locator('[data-field="lag"]', { hasText: /^unknown$/ }).waitFor()
    // Each part of it by itself; and what holds a copy back beside what it waits for (promise 7).
    const wait = (what: string) => ({ what, sinceMs: status().nowMs - 5000, ends: 'it ends', reason: 'other' })
    const lag = { transactions: null, bytes: 5 << 20, ageMs: null, etaMs: 8000 }
    const held = stream({ lag, waiting: wait('a lock'), throttled: wait('101 threads'), bytesPerSecond: 3 << 20, retries: 2 })
    control.tell(status({ workflows: [workflow({ streams: [held] })] }))
    await page.locator('[data-field="lag"]', { hasText: 'unknown, unknown transactions, 5.0 MiB, caught up in 8.0 s' }).waitFor()
    const row = await text(page, '.streams')
    for (const said of [
      // Five seconds when it was told; more by the time a busy machine has shown it.
      /waits for a lock since ([5-9]|\d\d)\.\d s; ended by it ends/,
      /held back by 101 threads since/,
      /3\.0 MiB\/s, chunks: 3 done, 9 left/,
    ])
      assert.match(row, said)
    assert.match(row, /unknown, unknown\/s of unknown\/s written; lanes: 4, retries: 2/)
  })
})

test('a switch, live: held, decided, done, with its report and what comes next', { skip }, async () => {
  await opened(status(), async ({ page, control }) => {
    const colour = (): Promise<string> =>
      page
        .locator('.ring [data-role="serving"]')
        .first()
        .evaluate((arc) => getComputedStyle(arc).fill)
    await page.locator('.ring .phase-stable').first().waitFor()
    const colours = new Set([await colour()])
    const holding = { phase: 'switching' as const, holdSinceMs: status().nowMs - 2000 }
    const waiting = { what: 'gate-1 to acknowledge', sinceMs: status().nowMs - 1000, ends: 'its answer, or the limit' }
    const action = {
      ...switchedStatus().workflows[0]!.action!,
      state: 'running' as const,
      endedAtMs: null,
      result: null,
      waiting,
      steps: [{ name: 'hold', ms: 3 }],
    }
    control.tell(
      status({ keyspaces: [keyspace(holding)], workflows: [workflow({ state: 'running', streams: [followingStream()], action })] }),
    )
    await page.locator('.ring .phase-switching').first().waitFor()
    colours.add(await colour())
    assert.match(await text(page, '[data-keyspace="app"]'), /Gates hold writes since \d+\.\d s/)
    assert.match(
      await text(page, '[data-part="action"]'),
      /waits for gate-1 to acknowledge since \d+\.\d s; ended by its answer, or the limit/,
    )
    assert.equal(await page.locator('[data-phase="switch"]').getAttribute('data-state'), 'current')
    control.tell(status({ keyspaces: [keyspace({ phase: 'opening', serving: fourShards, other: ['-'] })] }))
    await page.locator('.ring .phase-opening').first().waitFor()
    colours.add(await colour())
    control.tell(switchedStatus())
    await page.locator('[data-shard="c0-"][data-role="serving"].phase-stable').waitFor()
    assert.equal(colours.size, 3)
    assert.equal(await page.locator('.ring [data-role="serving"]').count(), 4)
    assert.equal(await page.locator('.ring [data-shard="-"]').getAttribute('data-role'), 'following')
    assert.match(await text(page, '[data-part="vdiff"]'), /clean\s+400,321 rows compared in 1\.8 s/)
    assert.match(await text(page, '.switch-report'), /clients held for 89 ms; statements held: 9, longest 77 ms, median 61 ms, failed 0/)
    const command = 'shardwright reshard --workflow split --target-keyspace app complete'
    await page.getByRole('button', { name: `copy: ${command}` }).click()
    await page.locator('.commands button', { hasText: /^copied$/ }).waitFor()
    assert.equal(await page.evaluate('navigator.clipboard.readText()'), command)
  })
})

test('a dual-write run, live: filled, copied beside, proven, ramped, stepped back, switched, held', { skip }, async () => {
  const dimensions = {
    state: 'copying',
    because: 'the pass over - is under way',
    rowsDone: 1200,
    rowsEstimated: 5000,
    landedAtMs: null,
    tables: [{ table: 'city', merged: true }],
  } as const
  const filling = {
    coverage: { atMs: 0, percent: null, readyAtMs: null, because: 'the old branch’s marks can not be read', lag: null, tables: [] },
    dimensions: { ...dimensions, tables: [...dimensions.tables] },
  }
  const following = { ...filling.dimensions, state: 'following' as const, because: 'copied, and kept in step', landedAtMs: 1 }
  const shown = (verdict: 'pass' | 'fail', counts = true) => ({
    rung: 'L1' as const,
    title: 'sums',
    atMs: 1,
    tookMs: 5,
    verdict,
    counts,
    because: 'sums of 40 buckets',
    numbers: {},
    findings: [],
    earlier: [],
  })
  await opened(dualWriteStatus('filling', filling), async ({ page, control }) => {
    const part = page.locator('[data-part="dual-write"]')
    const says = (wanted: string): Promise<unknown> => part.getByText(wanted).first().waitFor()
    const phase = async (name: string): Promise<string | null> => page.locator(`[data-phase="${name}"]`).getAttribute('data-state')
    await says('the old branch’s marks can not be read')
    // Promise 6: what is not known is no number.
    assert.match(await text(page, '[data-part="dual-write"]'), /filled unknown .* lag unknown/)
    assert.match(await text(page, '[data-part="dimensions"]'), /city: copying, 1,200 of about 5,000 rows \(the pass/)
    assert.deepEqual([await phase('provisioned'), await phase('filling'), await phase('ready')], ['done', 'current', 'pending'])
    control.tell(dualWriteStatus('validating', { dimensions: following, evidence: [shown('pass', false)] }))
    await says('pass, of an older plan')
    assert.match(await text(page, '[data-part="dimensions"]'), /city: following/)
    assert.match(await text(page, '[data-part="writers"]'), /none, looked at up to/)
    const auto = { state: 'running', nextStepAtMs: 0, why: null }
    control.tell(
      dualWriteStatus('ramping', { dimensions: following, evidence: [shown('pass')], readsPercent: 25, auto }, { serving: 'mixed' }),
    )
    await page.locator('[data-part="dual-write"] [role="progressbar"][aria-valuenow="25"]').waitFor()
    assert.match(await text(page, '.sides'), /serves in part.*serves in part/)
    assert.equal(await phase('ramping'), 'current')
    const back = { state: 'stepped back', nextStepAtMs: 0, why: 'the branches differ (L1)' }
    control.tell(dualWriteStatus('validating', { dimensions: following, evidence: [shown('fail')], auto: back }))
    await says('automatic: stepped back, the branches differ (L1)')
    assert.equal(await page.locator('[data-part="dual-write"] td.bad').innerText(), 'fail')
    control.tell(
      dualWriteStatus('switched', { dimensions: following, readsPercent: 100, evidence: [shown('pass')] }, { serving: 'target' }),
    )
    await page.locator('[data-part="dual-write"] [role="progressbar"][aria-valuenow="100"]').nth(1).waitFor()
    const horizon = { atMs: 0, kind: 'until', untilMs: status().nowMs + 3_600_000, because: 'the old data is removed then' }
    control.tell(dualWriteStatus('holding', { readsPercent: 100, horizon }, { serving: 'target' }))
    await says('the old data is removed then')
    assert.match(await text(page, '[data-part="horizon"]'), /way back: (59|60|1 h)/)
    const failed = { ...following, state: 'failed' as const, because: 'the stream of - has failed: SW-MOVE-034' }
    control.tell(dualWriteStatus('ramping', { dimensions: failed, readsPercent: 5 }))
    await page.locator('[data-part="dimensions"].bad').waitFor()
    assert.deepEqual(await page.locator('.commands code').allInnerTexts(), ['shardwright DualWrite show --keyspace app --workflow grow'])
  })
})

test('errors of clients are counted from when the page was opened', { skip }, async () => {
  await opened(status(), async ({ page, control }) => {
    await page.locator('[data-measure="errors"]', { hasText: /^0$/ }).waitFor()
    control.tell(status({ gates: [gate({ errors: 5 })] }))
    await page.locator('[data-measure="errors"]', { hasText: /^2$/ }).waitFor()
    control.tell(status({ installation: 'another one at the same address', gates: [gate({ errors: 9 })] }))
    await page.locator('[data-measure="errors"]', { hasText: /^0$/ }).waitFor()
    const drawn = await page.locator('.plot canvas').evaluateAll((all) => all.map((canvas) => (canvas as HTMLCanvasElement).width))
    assert.equal(drawn.length, 3)
    assert.ok(
      drawn.every((width) => width > 200),
      String(drawn),
    )
  })
})

test('a stream that failed says why and what to do', { skip }, async () => {
  const error = { code: 'SW-MOVE-004', what: 'the binlog was purged', why: 'it was kept too short', fix: 'start the copy again' }
  await opened(status({ workflows: [workflow({ state: 'failed', streams: [stream({ state: 'failed', error })] })] }), async ({ page }) => {
    await page.locator('.error-note').waitFor()
    const note = await text(page, '.error-note')
    for (const part of Object.values(error)) assert.ok(note.includes(part), note)
    assert.equal(await page.locator('[data-phase="copy"]').getAttribute('data-state'), 'failed')
  })
})

for (const how of ['fallSilent', 'goAway'] as const) {
  test(`no news is said, and ends by itself: ${how}`, { skip }, async () => {
    await opened(status(), async ({ page, control }) => {
      await page.locator('.live-live').waitFor()
      control[how]()
      await page.getByRole('alert').waitFor()
      assert.equal(await page.locator('main.stale').count(), 1)
      assert.match(await text(page, '[role="alert"]'), /No news from control for .*unknown now/s)
      control.comeBack()
      await page.locator('.live-live').waitFor()
      assert.equal(await page.locator('main.stale, [role="alert"]').count(), 0)
    })
  })
}

test('a control with a token is asked with it', { skip }, async () => {
  await opened(
    status(),
    async ({ page }) => {
      await page.getByLabel('token').fill('right')
      await page.getByRole('button', { name: 'show the page' }).click()
      await page.locator('.ring').waitFor()
      await page.evaluate('sessionStorage.clear()')
    },
    'right',
  )
})

test('readable at every width, dark and light, and told in words', { skip }, async () => {
  await opened(switchedStatus(), async ({ page }) => {
    await page.locator('.ring').waitFor()
    for (const width of [1280, 900, 640, 390]) {
      await page.setViewportSize({ width, height: 800 })
      // Charts take their new size a frame or two later.
      let wide = Number.POSITIVE_INFINITY
      for (let attempt = 0; attempt < 100 && wide > width; attempt++) {
        wide = Number(await page.evaluate('new Promise((done) => requestAnimationFrame(() => done(document.documentElement.scrollWidth)))'))
      }
      assert.ok(wide <= width, `${wide} px at ${width}`)
    }
    const inks = new Set<string>()
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      inks.add(await page.locator('body').evaluate((body) => getComputedStyle(body).backgroundColor))
    }
    assert.equal(inks.size, 2)
    const labels = await page
      .locator('[role="img"], [role="progressbar"]')
      .evaluateAll((all) => all.map((one) => one.getAttribute('aria-label') ?? ''))
    assert.ok(labels.length >= 4 && labels.every((label) => label.length > 10), labels.join('\n'))
    assert.ok(
      labels.some((label) => label.includes('served by -40, 40-80, 80-c0, c0-; other side: - (following, 100 %)')),
      labels.join('\n'),
    )
  })
})
