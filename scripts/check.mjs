// The checks that need no test: types, lint, format, the house rules, generated documents.   npm run check
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fail, projectDir, setup } from './setup.mjs'

const checks = [
  { name: 'types (tsc)', command: ['tsc', '--noEmit'] },
  { name: 'types of the console (tsc)', command: ['tsc', '--noEmit', '-p', 'src/console'], when: 'src/console/tsconfig.json' },
  { name: 'house rules', command: ['node', 'scripts/check-imports.mjs'] },
  { name: 'lint (oxlint)', command: ['oxlint', '--deny-warnings'] },
  { name: 'format (oxfmt; npm run format puts it right)', command: ['oxfmt', '--check'] },
  {
    name: 'docs/vitess-commands.md',
    command: ['node', '--disable-warning=ExperimentalWarning', 'scripts/generate-vitess-commands.mjs', '--check'],
  },
  { name: 'docs/ddl.md', command: ['node', '--disable-warning=ExperimentalWarning', 'scripts/generate-ddl.mjs', '--check'] },
  { name: 'docs/sql.md', command: ['node', '--disable-warning=ExperimentalWarning', 'scripts/generate-sql.mjs', '--check'] },
  { name: 'docs/promises.md', command: ['node', 'scripts/generate-promises.mjs', '--check'] },
  {
    name: 'mutations: what they take out stands there',
    command: ['node', '--test', '--test-reporter=dot', 'test/mutations/mutations.test.ts'],
  },
  { name: 'docs/errors.md', command: ['node', '--disable-warning=ExperimentalWarning', 'scripts/generate-errors.mjs', '--check'] },
]

/** Runs all checks, two at a time; prints what the failing ones say. */
export async function runChecks() {
  const results = { passed: 0, failed: 0, failedNames: [] }
  const queue = checks.filter((check) => check.when === undefined || existsSync(join(projectDir, check.when)))
  const worker = async () => {
    for (let check = queue.shift(); check !== undefined; check = queue.shift()) {
      const { code, output, ms } = await run(check.command)
      if (code === 0) results.passed++
      else {
        results.failed++
        results.failedNames.push(check.name)
      }
      console.log(`${code === 0 ? '✔' : '✖'} ${check.name}  ${(ms / 1000).toFixed(1)} s`)
      if (code !== 0) console.log(output.trim().replace(/^/gm, '    '))
    }
  }
  await Promise.all([worker(), worker()])
  return results
}

function run([name, ...args]) {
  return new Promise((resolve) => {
    const started = Date.now()
    const child = spawn(join(projectDir, 'node_modules', '.bin', name), args, { cwd: projectDir, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.on('error', (error) => (output += error.message))
    child.on('close', (code) => resolve({ code, output, ms: Date.now() - started }))
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await setup({ flavours: [] })
    const { passed, failed } = await runChecks()
    console.log(`${passed} passed, ${failed} failed`)
    process.exit(failed > 0 ? 1 : 0)
  } catch (error) {
    fail(error)
  }
}
