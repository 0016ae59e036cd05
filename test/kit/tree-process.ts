/** A tree of processes as a child of a test: `shardwright up` without its terminal, so that a test can kill the whole of it. */
import { systemClock } from '../../src/base/clock.ts'
import { watchParent } from '../../src/local/parent-watch.ts'
import { Tree } from '../../src/main/tree.ts'
import { installsFile, templatesDir } from '../../src/main/up.ts'

export type TreeProcessOptions = {
  readonly dataDir: string
  readonly flavour: 'mariadb' | 'mysql'
  readonly apiPort: number
  readonly gatePort: number
  readonly leaseMs?: number
}

export type TreeMessage =
  | { readonly kind: 'ready'; readonly apiPort: number; readonly gatePort: number }
  | { readonly kind: 'said'; readonly line: string }
  | { readonly kind: 'failed'; readonly error: string }

const given = JSON.parse(process.argv[2] ?? '{}') as TreeProcessOptions
const tell = (message: TreeMessage): void => void process.send?.(message)
const end = (): void => void (tree === null ? Promise.resolve() : tree.stop()).finally(() => process.exit(0))
let tree: Tree | null = null
process.on('SIGTERM', end)
process.on('SIGINT', () => {})
watchParent({ onGone: end })
try {
  tree = await Tree.start({ ...given, installsFile, templatesDir, clock: systemClock, say: (line) => tell({ kind: 'said', line }) })
  tell({ kind: 'ready', apiPort: tree.apiPort, gatePort: tree.gatePort })
} catch (error) {
  tell({ kind: 'failed', error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  process.exitCode = 1
  setTimeout(() => process.exit(1), 100)
}
