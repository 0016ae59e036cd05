import type { FastifyInstance } from 'fastify'
import type { World } from '../change/servers.ts'
import { withoutPassword } from '../base/secrets.ts'
import { statusView } from './status.ts'

const everyMs = 500

/** Server-sent events: the whole status, twice a second, to whoever watches the page. */
export function serveEvents(http: FastifyInstance, world: World & { version: string }): void {
  http.get('/api/v1/events', async (request, reply) => {
    reply.hijack()
    const response = reply.raw
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', connection: 'keep-alive' })
    const gone = new AbortController()
    request.raw.on('close', () => gone.abort())
    response.on('error', () => gone.abort())
    while (!gone.signal.aborted) {
      // A page whose feed breaks off connects again by itself; one that is left hanging shows old figures as if they were new.
      const status = await statusView(world, world.version).catch(() => null)
      if (status === null) break
      if (!response.write(`data: ${withoutPassword(JSON.stringify(status))}\n\n`)) {
        await new Promise<void>((resolve) => {
          response.once('drain', resolve)
          gone.signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }
      await world.clock.sleep(everyMs, gone.signal).catch(() => undefined)
    }
    response.end()
  })
}
