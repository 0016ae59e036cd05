// Test files in one process, one after the other: Node, the modules that they share and what V8 makes of them are paid once.
//   node … scripts/several-files.mjs AT MS FILE…       (scripts/run-tests.mjs runs it and tells of each file as of one with a process of its own; the name of the file that is begun is written to AT, and what it leaves open may stay so for MS)
// Each file is a test here, and its tests are that test's own. A file is required, not imported, for them to be found where it stands: one with an `await` beside its tests cannot be among these.
import { writeFileSync } from 'node:fs'
import { createRequire, registerHooks } from 'node:module'
import { Socket } from 'node:net'
import { resolve } from 'node:path'
import { after, test } from 'node:test'
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'

const require = createRequire(import.meta.url)
const [at, leftOpenMs, ...files] = process.argv.slice(2)

let uncaught = null
const keep = (error) => (uncaught ??= error)
process.on('uncaughtExceptionMonitor', keep).on('unhandledRejection', keep)

// The one module that awaits as it is loaded has been before the files are, which get what it exports.
const awaits = new URL('../src/keyspace/vindexes/xxhash.ts', import.meta.url).href
globalThis.loaded = await import(`${awaits}?before`)
registerHooks({
  load: (url, context, next) =>
    url !== awaits
      ? next(url, context)
      : {
          format: 'module',
          shortCircuit: true,
          source: `export const { ${Object.keys(globalThis.loaded).join(', ')} } = globalThis.loaded`,
        },
})

/** A socket that nobody reads from, or from which nothing more can come, and that nothing is to be written to: it is among the active resources, and holds no process. */
const isAtRest = ({ _handle: handle, _readableState: read, writableLength }) =>
  Boolean(handle) && (handle.reading === false || read.ended) && writableLength === 0
/** What holds the process, by kind. */
function open() {
  const counts = new Map()
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1)
  for (const { _handle } of process._getActiveHandles().filter((handle) => handle instanceof Socket && isAtRest(handle))) {
    const name = `${_handle.constructor.name === 'Pipe' ? 'Pipe' : 'TCPSocket'}Wrap`
    counts.set(name, (counts.get(name) ?? 0) - 1)
  }
  return counts
}
let before = null
/** What would hold the process of the file that runs, had it one of its own. */
const leftOpen = () => [...open()].filter(([name, n]) => n > (before.get(name) ?? 0)).map(([name]) => name)

for (const path of files) {
  test(path, (t) => {
    writeFileSync(at, path)
    before ??= open()
    require(resolve(path))
    t.after(async () => {
      // A rejection that nobody caught is told of when all that runs now has been.
      await immediate()
      for (const start = performance.now(); leftOpen().length > 0; await sleep(20)) {
        if (performance.now() - start < Number(leftOpenMs)) continue
        const names = leftOpen()
        before = open()
        // Nothing else would end this process; what was found is told by then.
        after(() => void setTimeout(() => process.exit(), 5_000).unref())
        throw new Error(`left open: ${names.join(', ')}`)
      }
      const error = uncaught
      uncaught = null
      if (error !== null) throw error
    })
  })
}
