import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

test('a test file that never ends is ended and named, and the results of all others stand; a kind has no more at once than it may', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-run-tests-'))
  try {
    const file = (name: string, body: string): string => {
      const path = join(dir, `${name}.test.mjs`)
      writeFileSync(
        path,
        `import { appendFileSync } from 'node:fs'\nimport { test } from 'node:test'\ntest('${name}', async () => {\n${body}\n})\n`,
      )
      return path
    }
    const trace = (what: string): string => `appendFileSync(${JSON.stringify(join(dir, 'trace'))}, '${what}')`
    const alone = (name: string): string => file(name, `${trace('(')}; await new Promise((done) => setTimeout(done, 50)); ${trace(')')}`)
    const hangs = file('hangs', 'setInterval(() => undefined, 1000); await new Promise(() => undefined)')
    const plan = {
      atOnce: 3,
      kinds: [
        { files: [alone('first'), alone('second'), alone('third')], atOnce: 1, timeoutMs: 60_000 },
        { files: [file('fails', "throw new Error('seven')"), file('passes', '')], atOnce: 3, timeoutMs: 60_000 },
        // Ended at three times its limit, however little of it has run by then.
        { files: [hangs], atOnce: 3, timeoutMs: 1_000 },
      ],
    }
    const tally = join(dir, 'tally')
    const args = ['--disable-warning=ExperimentalWarning', 'scripts/run-tests.mjs', JSON.stringify(plan)]
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const child = spawn(process.execPath, args, { env: { ...env, SHARDWRIGHT_TEST_TALLY: tally }, stdio: ['ignore', 'pipe', 'inherit'] })
    let told = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (told += text))
    const code = await new Promise((done) => child.on('close', done))
    const { passed, failedFiles } = JSON.parse(readFileSync(tally, 'utf8')) as { passed: number; failedFiles: string[] }
    assert.equal(code, 1, told)
    assert.deepEqual(failedFiles.map((name) => name.replace(/^.*\//, '')).sort(), ['fails.test.mjs', 'hangs.test.mjs'], told)
    assert.equal(passed, 4, told)
    assert.equal(readFileSync(join(dir, 'trace'), 'utf8'), '()()()')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
