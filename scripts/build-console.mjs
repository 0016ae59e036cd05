// Builds the web page, src/console → dist/console, when its sources changed. Looking whether they did runs on any Node ≥ 18 and
// needs no package; building needs the project's Node.    node scripts/build-console.mjs [--if-missing]
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const script = fileURLToPath(import.meta.url)
const projectDir = dirname(dirname(script))
const source = join(projectDir, 'src', 'console')
const target = join(projectDir, 'dist', 'console')
const stampFile = join(target, '.stamp')

/**
 * Makes sure that the page is there and as its sources say. A page that can't be built keeps nothing else from running: what went
 * wrong is returned, or null.
 * @param {string} node the project's Node
 */
export function ensureConsole(node, { ifMissing = false } = {}) {
  if (ifMissing ? existsSync(stampFile) : isCurrent()) return null
  const run = spawnSync(node, [script], { cwd: projectDir, encoding: 'utf8', timeout: 60_000 })
  if (run.status === 0) return null
  return `the page could not be built: ${(run.error?.message ?? run.stderr.trim().split('\n')[0]) || `the build ended with ${run.status}`}`
}

function isCurrent() {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp()
}

/** Whatever the page is made of: its files, and the packages that are built in. */
function stamp() {
  const hash = createHash('sha256')
  for (const file of [script, join(projectDir, 'package-lock.json'), ...filesUnder(source)]) {
    if (/\.test\.ts$|\.md$/.test(file)) continue
    hash.update(`${relative(projectDir, file)}\0`).update(readFileSync(file))
  }
  return hash.digest('hex')
}

function filesUnder(dir) {
  return readdirSync(dir, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => (entry.isDirectory() ? filesUnder(join(dir, entry.name)) : [join(dir, entry.name)]))
}

async function build() {
  const built = stamp()
  const { build: viteBuild } = await import('vite')
  const temporary = `${target}.${process.pid}`
  try {
    await viteBuild({
      configFile: false,
      root: source,
      base: './',
      logLevel: 'warn',
      oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
      build: { outDir: temporary, emptyOutDir: true, target: 'es2022', modulePreload: { polyfill: false }, reportCompressedSize: false },
    })
    writeFileSync(join(temporary, '.stamp'), built)
    replace(temporary)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** In one step, as far as a folder can be: a server may be reading the old page, and another build may be ending too. */
function replace(temporary) {
  const old = `${temporary}.old`
  mkdirSync(dirname(target), { recursive: true })
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      if (existsSync(target)) renameSync(target, old)
      renameSync(temporary, target)
      break
    } catch (error) {
      if (attempt === 2) throw error
    }
  }
  rmSync(old, { recursive: true, force: true })
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const started = Date.now()
  try {
    if (isCurrent() || (process.argv.includes('--if-missing') && existsSync(stampFile))) process.exit(0)
    await build()
    console.error(`console: built in ${((Date.now() - started) / 1000).toFixed(1)} s`)
  } catch (error) {
    console.error(error.message)
    process.exit(1)
  }
}
