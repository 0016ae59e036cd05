// The house rules that a compiler does not hold (DESIGN section 4): which room may import which, no environment or
// arguments outside main/, small files, no barrels.   node scripts/check-imports.mjs [--root DIR]
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A room may import what its row names, and what those rows name. */
const belowGate = ['base', 'keyspace', 'sql', 'wire', 'mysql', 'topology']
const engine = [...belowGate, 'binlog']
const rooms = {
  base: [],
  keyspace: ['base'],
  sql: ['base'],
  wire: ['base'],
  mysql: ['base', 'wire', 'sql'],
  binlog: ['base', 'wire', 'mysql', 'sql'],
  topology: ['base', 'keyspace'],
  move: engine,
  topic: ['base'],
  ingest: ['base', 'keyspace', 'sql', 'mysql', 'topology', 'topic'],
  verify: [...engine, 'move', 'topic', 'ingest'],
  workflow: ['base', 'topology'],
  switch: ['base', 'keyspace', 'mysql', 'binlog', 'topology', 'workflow', 'move'],
  plan: ['base', 'keyspace'],
  change: [...engine, 'move', 'topic', 'ingest', 'verify', 'workflow', 'switch', 'plan'],
  gate: belowGate,
  api: ['base', 'keyspace'],
  control: ['topology', 'workflow', 'change', 'verify', 'plan', 'api'],
  console: ['api'],
  cli: ['api'],
  local: ['base', 'mysql'],
  demo: ['api', 'local', 'topic'],
  main: 'everything',
}

const linesMax = 400
const source = /\.(ts|tsx|mts)$/

function allowedFor(room) {
  const allowed = new Set([room])
  const queue = [room]
  for (let at = 0; at < queue.length; at++) {
    const row = rooms[queue[at]]
    for (const next of row === 'everything' ? Object.keys(rooms) : row) {
      if (!allowed.has(next)) queue.push(next)
      allowed.add(next)
    }
  }
  return allowed
}

export function check(root) {
  const problems = []
  for (const file of filesUnder(join(root, 'src'))) checkFile(root, file, problems)
  for (const folder of ['test', 'bench', 'examples']) {
    for (const file of filesUnder(join(root, folder))) checkSize(root, file, readFileSync(file, 'utf8'), problems)
  }
  return problems
}

function checkFile(root, file, problems) {
  const path = relative(root, file).split(sep).join('/')
  const text = readFileSync(file, 'utf8')
  checkSize(root, file, text, problems)
  const room = path.split('/')[1]
  if (path.split('/').length < 3 || !(room in rooms)) {
    problems.push(`${path}: no room of this name; rooms: ${Object.keys(rooms).join(', ')}`)
    return
  }
  const isTest = /\.(test|torture|bench)\.tsx?$|\/testkit\//.test(path)
  const isDbTest = /\.db\.test\.tsx?$|\/testkit\//.test(path)
  const allowed = allowedFor(room)
  if (isDbTest) for (const more of allowedFor('local')) allowed.add(more)
  const lines = text.split('\n')
  let inBlock = false
  for (const [index, line] of lines.entries()) {
    const where = `${path}:${index + 1}`
    if (inBlock) {
      inBlock = !line.includes('*/')
      continue
    }
    if (/^\s*\/\*/.test(line)) {
      inBlock = !line.includes('*/')
      continue
    }
    const code = line.replace(/^\s*\/\/.*$/, '').replace(/\s\/\/.*$/, '')
    if (room !== 'main' && !isTest && /\bprocess\s*\.\s*(env|argv)\b/.test(code)) {
      problems.push(`${where}: ${/env/.test(code) ? 'process.env' : 'process.argv'} is read only in main/; take it as an argument`)
    }
    for (const match of code.matchAll(/(?:\bfrom\s*|^\s*import\s*|\bimport\s*\(\s*)(['"])(\.{1,2}\/[^'"]*)\1/g)) {
      checkImport({ root, file, where, room, isTest, allowed, target: match[2] }, problems)
    }
  }
}

function checkImport({ root, file, where, room, isTest, allowed, target }, problems) {
  const resolved = resolve(dirname(file), target.replace(/\?.*$/, ''))
  const path = relative(root, resolved).split(sep).join('/')
  if (isTest && path.startsWith('test/kit/')) return
  if (path.startsWith('src/')) {
    const targetRoom = path.split('/')[1]
    if (allowed.has(targetRoom)) return
    problems.push(`${where}: ${room}/ may not import ${targetRoom}/ (${target}); allowed: ${[...allowed].sort().join(', ')}`)
    return
  }
  if (room === 'main' && path === 'package.json') return
  problems.push(`${where}: ${target} leads out of src/${isTest ? '' : '; only tests may import test/kit/'}`)
}

function checkSize(root, file, text, problems) {
  const path = relative(root, file).split(sep).join('/')
  if (/(^|\/)index\.tsx?$/.test(path)) problems.push(`${path}: no barrels; name the file after the one thing it exports`)
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
  const first = text.slice(0, text.indexOf('\n'))
  if (lines > linesMax && !/^\/[/*]+\s*(long|generated)\b.*\w/i.test(first)) {
    problems.push(`${path}:1: ${lines} lines; split it, or say why on the first line  (// long: …)`)
  }
}

function filesUnder(dir) {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.name !== 'node_modules' && entry.name !== 'dist')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(dir, entry.name)
      if (entry.isDirectory()) return filesUnder(path)
      return source.test(entry.name) ? [path] : []
    })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--root')
  const root = at > 0 ? resolve(process.argv[at + 1]) : dirname(dirname(fileURLToPath(import.meta.url)))
  const problems = check(root)
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) console.error(`${problems.length} house rules broken`)
  process.exit(problems.length > 0 ? 1 : 0)
}
