import { createServer } from 'node:net'
import { localErrors } from './errors.ts'

/**
 * A port on 127.0.0.1 that was free a moment ago: `preferred` or the next free one after it; 0 lets the system choose.
 * Another program can take it before its user binds it, so whoever binds must be ready to ask again.
 */
export async function findPort(preferred: number, tries = 200, skip: ReadonlySet<number> = new Set()): Promise<number> {
  if (preferred === 0) return probe(0)
  for (let port = preferred; port < preferred + tries && port < 65_536; port++) {
    if (skip.has(port)) continue
    try {
      return await probe(port)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error
    }
  }
  throw localErrors.noFreePort({ preferred })
}

function probe(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address()
      const got = typeof address === 'object' && address !== null ? address.port : port
      server.close(() => resolve(got))
    })
  })
}
