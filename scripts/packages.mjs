// Installs the Node packages of package-lock.json. Runs on any Node ≥ 18 and needs no package.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SetupProblem } from './find-server.mjs'

const limitMs = 170_000
/** npm tries each package again for minutes when the network is gone; from here on we ask once whether it is there. */
const suspiciousMs = 20_000

/** @throws SetupProblem */
export async function installNodePackages(projectDir, say) {
  const lock = join(projectDir, 'package-lock.json')
  if (installedAsLocked(projectDir, lock)) return
  say('installing Node packages')
  const started = Date.now()
  let run = existsSync(lock) ? await npm(projectDir, ['ci']) : await npm(projectDir, ['install'])
  // `npm ci` refuses a lock that names not every platform's optional package, as one made behind a partial mirror does;
  // `npm install` follows the same lock and does without them.
  if (run.code !== 0 && run.output.includes('EUSAGE')) run = await npm(projectDir, ['install', '--no-save'])
  if (run.code !== 0) {
    if (run.output.trim() !== '') console.error(run.output.trim().split('\n').slice(0, 15).join('\n').replace(/^/gm, '  '))
    throw new SetupProblem(run.why ?? `npm ended with ${run.code}`, [
      'see what npm says, if it says anything: most often it is the network, a proxy (npm config get registry), or a full disk',
      'then run this again: it begins where it stopped',
    ])
  }
  say(`Node packages installed in ${((Date.now() - started) / 1000).toFixed(1)} s`)
}

/** Whether npm has already installed just this lock file, so that running it again would change nothing. */
function installedAsLocked(projectDir, lock) {
  const modules = join(projectDir, 'node_modules')
  if (!existsSync(join(modules, '.bin', 'node')) && Number(process.versions.node.split('.')[0]) < 24) return false
  try {
    const want = JSON.parse(readFileSync(lock, 'utf8')).packages
    const have = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')).packages
    return Object.entries(want).every(([path, entry]) => path === '' || entry.optional || have[path]?.version === entry.version)
  } catch {
    return false
  }
}

async function npm(projectDir, verb) {
  const options = ['--include=dev', '--include=optional', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
  const patience = ['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000']
  const install = runNpm(projectDir, [...verb, ...options, ...patience], limitMs)
  const suspicion = setTimeout(async () => {
    const probe = runNpm(
      projectDir,
      ['view', 'zod', 'version', '--fetch-retries=1', '--fetch-retry-mintimeout=500', '--prefer-online'],
      15_000,
    )
    const { code } = await probe.done
    if (code !== 0) install.stop('the package registry does not answer (npm config get registry)')
  }, suspiciousMs)
  const result = await install.done
  clearTimeout(suspicion)
  return result
}

function runNpm(projectDir, args, timeoutMs) {
  const path = process.env.npm_execpath
  const [program, first] = path?.endsWith('npm-cli.js') ? [process.execPath, [path]] : ['npm', []]
  const child = spawn(program, [...first, ...args], { cwd: projectDir, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let why
  const stop = (reason) => {
    why ??= reason
    child.kill('SIGTERM')
  }
  const timer = setTimeout(() => stop(`npm took longer than ${timeoutMs / 1000} s and was stopped`), timeoutMs)
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output = (output + text).slice(-100_000)))
  const done = new Promise((resolve) => {
    child.on('error', (error) => {
      clearTimeout(timer)
      resolve({ code: 1, output, why: error.code === 'ENOENT' ? 'npm is not on the PATH: install it (it comes with Node)' : error.message })
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code: code ?? 1, output, why })
    })
  })
  return { done, stop }
}
