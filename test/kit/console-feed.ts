/** A stand-in for control: serves the built page and tells it whatever a test wants told, ten times a second. */
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { existsSync, readFileSync } from 'node:fs'
import { extname, join, normalize } from 'node:path'
import type { StatusView } from '../../src/api/schemas.ts'

const types: Record<string, string> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css' }
const everyMs = 100

export type FakeControl = AsyncDisposable & {
  readonly url: string
  /** From now on this is the status; its time goes on by itself. */
  tell(status: StatusView): void
  /** Connections stay open, but nothing comes any more. */
  fallSilent(): void
  /** Connections end, and new ones get 503. */
  goAway(): void
  comeBack(): void
}

export async function startFakeControl(dir: string, first: StatusView, token?: string): Promise<FakeControl> {
  let now = first
  let mode: 'telling' | 'silent' | 'away' = 'telling'
  const watchers = new Set<ServerResponse>()
  const send = (to: ServerResponse): void => void to.write(`data: ${JSON.stringify(now)}\n\n`)
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    if (path === '/api/v1/events') {
      if (mode === 'away') return void response.writeHead(503).end()
      if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) return void response.writeHead(401).end()
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      watchers.add(response)
      response.on('close', () => watchers.delete(response))
      if (mode === 'telling') send(response)
      return
    }
    const file = join(dir, normalize(path === '/' ? '/index.html' : path))
    if (!existsSync(file)) return void response.writeHead(404).end()
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' }).end(readFileSync(file))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const timer = setInterval(() => {
    if (mode !== 'telling') return
    now = { ...now, nowMs: now.nowMs + everyMs }
    for (const watcher of watchers) send(watcher)
  }, everyMs)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    tell: (status) => void (now = { ...status, nowMs: Math.max(status.nowMs, now.nowMs + 1) }),
    fallSilent: () => void (mode = 'silent'),
    goAway() {
      mode = 'away'
      for (const watcher of watchers) watcher.end()
    },
    comeBack: () => void (mode = 'telling'),
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
