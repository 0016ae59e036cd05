#!/usr/bin/env node
// The command line, on whatever Node runs this file: finds Node 24 and runs src/main/cli.ts on it.
import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const projectDir = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))))
const cli = join(projectDir, 'src', 'main', 'cli.ts')
const own = join(projectDir, 'node_modules', '.bin', 'node')

// The page is built by set-up; a clone that was never set up that way gets it here, once.
if (process.argv.includes('up') && existsSync(own) && !existsSync(join(projectDir, 'dist', 'console'))) {
  const { ensureConsole } = await import('../scripts/build-console.mjs')
  const problem = ensureConsole(own, { ifMissing: true })
  if (problem !== null) console.error(problem)
}

if (Number(process.versions.node.split('.')[0]) >= 24) {
  // The common case once installed: no second process.
  process.argv[1] = cli
  const emitWarning = process.emitWarning
  process.emitWarning = (warning, ...rest) => {
    const type = typeof rest[0] === 'string' ? rest[0] : rest[0]?.type
    if (type !== 'ExperimentalWarning') emitWarning.call(process, warning, ...rest)
  }
  const { useCompileCache } = await import('../scripts/compile-cache.mjs')
  useCompileCache()
  await import(cli)
} else if (existsSync(own)) {
  const { runNode } = await import('../scripts/run-node.mjs')
  runNode(own, [cli, ...process.argv.slice(2)])
} else {
  console.error(
    `shardwright: Node 24 is needed, and this is ${process.version}\n  run  npm run setup  in ${projectDir}: it brings Node 24 along`,
  )
  process.exit(1)
}
