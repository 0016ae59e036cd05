/**
 * Takes rules out of the code one by one and looks whether the test that is named for each fails, and for the reason it should.
 *
 *     npm run mutations -- [WORDS…] [--flavour mysql]      only rules, files or tests that have one of the words
 *     npm run mutations -- --pure                          only those that need no servers
 *     npm run mutations -- --control                       the same tests with nothing taken out: all must pass
 *
 * The sources are not touched: `hook.mjs` changes one text of one file as it is loaded, in the test and in every process that the test starts.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { namePattern } from './mutation.ts'
import type { Mutation } from './mutation.ts'
import { gateRuleMutations } from './gate.ts'
import { ingestMutations } from './ingest.ts'
import { moveMutations } from './move.ts'
import { switchMutations } from './switch.ts'

const mutations = [...switchMutations, ...ingestMutations, ...moveMutations, ...gateRuleMutations]

const root = join(import.meta.dirname, '..', '..')
const limitMs = 180_000

type Ended = { readonly name: string; readonly passed: boolean; readonly why: string }

async function runTest(mutation: Mutation, flavour: string, mutated: boolean): Promise<{ ended: Ended[]; output: string }> {
  const asked = { SHARDWRIGHT_TEST_FLAVOURS: flavour, SHARDWRIGHT_FENCES_ALL: '1', NODE_COMPILE_CACHE: undefined }
  const env: NodeJS.ProcessEnv = { ...process.env, ...asked }
  if (mutated) {
    const { file, edits } = mutation
    env['NODE_OPTIONS'] = `--import=${join(import.meta.dirname, 'hook.mjs')}`
    env['SHARDWRIGHT_MUTATION'] = JSON.stringify({ file: join(root, file), edits })
  }
  const args = [
    '--disable-warning=ExperimentalWarning',
    '--import=./scripts/end-of-process.mjs',
    '--test',
    `--test-timeout=${limitMs - 30_000}`,
    '--test-reporter=./test/mutations/reporter.mjs',
    ...(mutation.whole === true ? [] : [`--test-name-pattern=${namePattern(mutation)}`]),
    mutation.test,
  ]
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const pid = child.pid
  const timer = setTimeout(() => void (pid !== undefined && process.kill(-pid, 'SIGKILL')), limitMs)
  let out = ''
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  await new Promise((resolve) => child.on('close', resolve))
  clearTimeout(timer)
  const named = new RegExp(namePattern(mutation))
  const ended = out
    .split('\n')
    .filter((line) => line.startsWith('{"name"'))
    .map((line) => JSON.parse(line) as Ended)
    .filter(({ name }) => named.test(name))
  return { ended, output: output + out }
}

/** Null: as it should be. */
function judge(mutation: Mutation, ended: readonly Ended[], mutated: boolean): string | null {
  if (ended.length === 0) return 'no test ran'
  const failed = ended.filter((test) => !test.passed)
  if (!mutated) return failed.length === 0 ? null : `fails with nothing taken out: ${failed[0]?.why}`
  if (failed.length === 0) return 'NOT FOUND: the test passes without the rule'
  if (failed.some((test) => mutation.fails.test(test.why))) return null
  return `fails for another reason: ${failed
    .map((test) => `${test.name}: ${test.why}`)
    .join('\n')
    .slice(0, 3_000)}`
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    flavour: { type: 'string', default: 'mariadb' },
    pure: { type: 'boolean', default: false },
    control: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
})
const chosen = mutations.filter((mutation) => {
  if (values.pure && /\.(db|e2e)\.test\.ts$/.test(mutation.test)) return false
  if (mutation.only !== undefined && mutation.only !== values.flavour) return false
  const text = [mutation.rule, mutation.file, mutation.test, mutation.name].join('\n').toLowerCase()
  return positionals.length === 0 || positionals.some((word) => text.includes(word.toLowerCase()))
})
const started = Date.now()
let wrong = 0
for (const mutation of chosen) {
  const began = Date.now()
  const { ended, output } = await runTest(mutation, values.flavour, !values.control)
  const problem = judge(mutation, ended, !values.control)
  if (problem !== null) wrong++
  const why =
    ended
      .find((test) => !test.passed)
      ?.why.split('\n')
      .slice(0, 3)
      .join(' ') ?? ''
  console.log(`${problem === null ? '✔' : '✖'} ${mutation.rule}  (${((Date.now() - began) / 1_000).toFixed(1)} s, ${mutation.test})`)
  if (problem !== null) console.log(`    ${problem}${ended.length === 0 ? `\n${output.slice(-2_000)}` : ''}`)
  else if (values.verbose) console.log(`    ${why.slice(0, 300)}`)
}
const how = values.control ? 'pass with nothing taken out' : 'taken out and found missing'
console.log(`${chosen.length - wrong} of ${chosen.length} ${how}, ${values.flavour}, ${Math.round((Date.now() - started) / 1_000)} s`)
process.exit(wrong > 0 || chosen.length === 0 ? 1 : 0)
