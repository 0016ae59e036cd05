import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

/** Runs a plan over files with these bodies; what was told of them, and what they traced. */
async function ran(
  plan: (file: (name: string, body: string, beside?: string) => string) => object,
): Promise<{ code: unknown; told: string; passed: number; failed: string[]; trace: string; tookMs: number }> {
  const dir = mkdtempSync(join(tmpdir(), 'sw-run-tests-'))
  try {
    const traced = join(dir, 'trace')
    const file = (name: string, body: string, beside = ''): string => {
      const path = join(dir, `${name}.test.mjs`)
      const trace = `const trace = (what) => appendFileSync(${JSON.stringify(traced)}, what), traced = () => readFileSync(${JSON.stringify(traced)}, 'utf8')`
      const imports = `import { appendFileSync, readFileSync } from 'node:fs'\nimport { after, test } from 'node:test'\nimport { createServer } from 'node:net'`
      writeFileSync(path, `${imports}\n${beside}\n${trace}\ntest('${name}', async () => {\n${body}\n})\n`)
      return path
    }
    const tally = join(dir, 'tally')
    const args = [
      '--disable-warning=ExperimentalWarning',
      '--import=./scripts/lean-runner.mjs',
      'scripts/run-tests.mjs',
      JSON.stringify(plan(file)),
    ]
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const child = spawn(process.execPath, args, { env: { ...env, SHARDWRIGHT_TEST_TALLY: tally }, stdio: ['ignore', 'pipe', 'inherit'] })
    let told = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (told += text))
    const begunMs = performance.now()
    const code = await new Promise((done) => child.on('close', done))
    const tookMs = performance.now() - begunMs
    const { passed, failedFiles } = JSON.parse(readFileSync(tally, 'utf8')) as { passed: number; failedFiles: string[] }
    const failed = failedFiles.map((name) => name.replace(/^.*\//, '')).toSorted()
    return { code, told, passed, failed, trace: readFileSync(traced, 'utf8'), tookMs }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const alone = "trace('('); await new Promise((done) => setTimeout(done, 50)); trace(')')"

test('a test file that never ends is ended and named, and the results of all others stand; a kind has no more at once than it may', async () => {
  const { code, told, passed, failed, trace, tookMs } = await ran((file) => ({
    atOnce: 3,
    kinds: [
      { files: [file('first', alone), file('second', alone), file('third', alone)], atOnce: 1, timeoutMs: 60_000 },
      { files: [file('fails', "throw new Error('seven')"), file('passes', '')], atOnce: 3, timeoutMs: 60_000 },
      // Ended at three times its limit, however little of it has run by then.
      { files: [file('hangs', 'setInterval(() => undefined, 1000); await new Promise(() => undefined)')], atOnce: 3, timeoutMs: 1_000 },
      // Its tests are over: ended at a fifth of the limit.
      { files: [file('open', 'setInterval(() => undefined, 1000)')], atOnce: 3, timeoutMs: 10_000 },
    ],
  }))
  assert.equal(code, 1, told)
  assert.deepEqual(failed, ['fails.test.mjs', 'hangs.test.mjs', 'open.test.mjs'], told)
  assert.ok(tookMs < 15_000, `${tookMs} ms`)
  assert.equal(passed, 5, told)
  assert.equal(trace, '()()()')
})

test('a test of a suite that stands elsewhere is told as one of the file that has it run: that file failed', async () => {
  const { told, passed, failed } = await ran((file) => {
    const suite = `import ${JSON.stringify(file('suite', "throw new Error('of the suite')"))}`
    const [alone, first, second] = ['alone', 'first', 'second'].map((name) => file(name, "trace('.')", suite))
    return { kinds: [{ files: [alone, [first, second, file('fine', '')]], atOnce: 1, timeoutMs: 60_000 }] }
  })
  // Of those in one process the first has the suite run.
  assert.deepEqual(failed, ['alone.test.mjs', 'first.test.mjs'], told)
  assert.equal(passed, 4, told)
})

test('while the processors are idle more files run than always do, up to a most; while they are not, no more', async () => {
  // Each waits until three have begun.
  const meets = "trace('('); while (traced().split('(').length < 4) await new Promise((done) => setTimeout(done, 10)); trace(')')"
  const names = ['first', 'second', 'third']
  const idle = { atOnce: 1, atOnceMax: 3, settleMs: 10 }
  const met = await ran((file) => {
    const kind = { files: names.map((name) => file(name, meets)), atOnce: 3, timeoutMs: 60_000 }
    return { ...idle, idleShare: 0, kinds: [kind] }
  })
  assert.deepEqual([met.code, met.passed, met.trace], [0, 3, '((()))'], met.told)
  const busy = await ran((file) => ({
    ...idle,
    idleShare: 1.01,
    kinds: [{ files: names.map((name) => file(name, alone)), atOnce: 3, timeoutMs: 60_000 }],
  }))
  assert.deepEqual([busy.code, busy.passed, busy.trace], [0, 3, '()()()'], busy.told)
})

test('an error that nobody caught fails its file, however late it comes and though all tests passed, and is told with where it came from', async () => {
  const later = "await new Promise((done) => setTimeout(done, 5)); trace('(')"
  const bodies = {
    thrown: `${later}; setTimeout(() => { throw new Error('from a timer') }, 5); await new Promise((done) => setTimeout(done, 50))`,
    rejected: `${later}; void (async () => { throw new Error('unheard') })(); await new Promise((done) => setTimeout(done, 50))`,
    fine: later,
  }
  const { code, told, failed } = await ran((file) => ({
    atOnce: 3,
    kinds: [{ files: Object.entries(bodies).map(([name, body]) => file(name, body)), atOnce: 3, timeoutMs: 60_000 }],
  }))
  assert.equal(code, 1, told)
  assert.deepEqual(failed, ['rejected.test.mjs', 'thrown.test.mjs'], told)
  assert.match(told, /✖ \S+thrown\.test\.mjs[^]*nobody caught: Error: from a timer\n\s+at /)
  assert.match(told, /✖ \S+rejected\.test\.mjs[^]*nobody caught: Error: unheard\n\s+at /)
})

test('several files in a process: each is named with its own failures, also of what nobody caught, what it left open and its end of the process; none hides those behind it', async () => {
  const { code, told, failed, passed, trace } = await ran((file) => {
    const files = [
      file('first', "trace('1') })\nafter(() => trace('2'))\ntest('beside it', () => {"),
      file('load', "})\nif (Date.now() > 0) throw new Error('at load')\ntest('lost', () => {"),
      file('late', "setTimeout(() => { throw new Error('from a timer') }, 5); await new Promise((done) => setTimeout(done, 50))"),
      file('rejects', "void Promise.reject(new Error('unheard'))"),
      file('ends', 'process.exit(0)'),
      file('open', 'createServer().listen(0)'),
      file('fails', "throw new Error('seven')"),
      file('last', "trace('3')"),
    ]
    return { atOnce: 1, kinds: [{ files: [files], atOnce: 1, timeoutMs: 5_000 }] }
  })
  assert.equal(code, 1, told)
  assert.deepEqual(
    failed,
    ['ends', 'fails', 'late', 'load', 'open', 'rejects'].map((name) => `${name}.test.mjs`),
    told,
  )
  for (const [name, why] of Object.entries({
    load: 'at load',
    late: 'from a timer',
    rejects: 'unheard',
    fails: 'seven',
    open: 'left open: TCP',
  }))
    assert.match(told, new RegExp(`✖ \\S+${name}\\.test\\.mjs[^✔]*Error: ${why}`))
  assert.match(told, /✖ \S+ends\.test\.mjs[^✔]*the process of the test ended/)
  // What is after a file's tests is done before the next file begins; when a process has ended, those that it had told nothing of begin again.
  assert.match(trace, /^(12)+3$/)
  assert.ok(passed >= 6, told)
})

test('in one process: a file that throws beside its tests fails, though it has begun one that passes', async () => {
  const { code, told, failed, passed } = await ran((file) => ({
    inOneProcess: [
      file('thrower', "trace('x') })\nif (Date.now() > 0) throw new Error('at load')\ntest('lost', () => {"),
      file('fine', "trace('y')"),
    ],
    timeoutMs: 60_000,
  }))
  assert.equal(code, 1, told)
  assert.deepEqual([failed, passed], [['thrower.test.mjs'], 2], told)
  assert.match(told, /Error: at load\n\s+at /)
})

test('in one process: a test that ends it is a failure, though it says that all is well', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-run-tests-'))
  try {
    const path = join(dir, 'ends.test.mjs')
    writeFileSync(path, "import { test } from 'node:test'\ntest('ends', () => process.exit(0))\n")
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const args = ['scripts/run-tests.mjs', JSON.stringify({ inOneProcess: [path], timeoutMs: 60_000 })]
    const child = spawn(process.execPath, args, { env, stdio: 'ignore' })
    assert.equal(await new Promise((done) => child.on('close', done)), 1)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})

test('the runner follows no promise of a test: what only awaits costs what it costs without it', async () => {
  const body = `
    const { createHook, executionAsyncId } = await import('node:async_hooks')
    await Promise.resolve()
    const ids = new Set()
    for (let n = 0; n < 3; n++) { await Promise.resolve(); ids.add(executionAsyncId()) }
    trace(String(ids.size))`
  const { passed, trace, told } = await ran((file) => ({
    atOnce: 1,
    kinds: [{ files: [file('awaits', body)], atOnce: 1, timeoutMs: 60_000 }],
  }))
  assert.deepEqual([passed, trace], [1, '1'], told)
})
