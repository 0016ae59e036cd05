/**
 * etcd's JSON gateway (`/v3/…`): one request, one JSON answer; a watch is an answer that goes on. Written over node:http and not fetch:
 * a deadline for connecting, TLS files, and above all whether a request was sent at all decide what an error means.
 *
 * An error is one of three answers, and callers must not mix them up:
 * - `notDone`: etcd said so, or nothing was sent. Safe to do again.
 * - `lost`: sent, and no answer came. A write may have been done, may be done later, or never.
 * - `refused`: etcd answered and repeating would not help (gRPC code in `code`).
 */
import http from 'node:http'
import https from 'node:https'
import type { IncomingMessage } from 'node:http'

export type EtcdFailure = 'notDone' | 'lost' | 'refused'

export class EtcdError extends Error {
  override name = 'EtcdError'
  readonly failure: EtcdFailure
  /** The gRPC status code, 0 when there was no answer. */
  readonly code: number

  constructor(failure: EtcdFailure, message: string, code = 0, cause?: unknown) {
    super(message, { cause })
    this.failure = failure
    this.code = code
  }
}

export type EtcdTls = { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly servername?: string }

export type EtcdClientOptions = {
  readonly endpoints: readonly { readonly host: string; readonly port: number }[]
  readonly tls: EtcdTls | null
  readonly credentials: { readonly user: string; readonly password: string } | null
}

const grpc = { unavailable: 14, unauthenticated: 16 } as const
/** Answers of etcd that mean a request was not proposed: nothing was done and nothing will be. */
const neverProposed = /no leader|too many requests|not capable/

/** One endpoint at a time; `rotate` goes on to the next. */
export class EtcdClient {
  readonly #options: EtcdClientOptions
  readonly #agent: http.Agent | https.Agent
  #at = 0
  #token: string | null = null

  constructor(options: EtcdClientOptions) {
    this.#options = options
    const common = { keepAlive: true, keepAliveMsecs: 1_000, maxSockets: Infinity, maxFreeSockets: 8 }
    this.#agent = options.tls === null ? new http.Agent(common) : new https.Agent({ ...common, ...options.tls })
  }

  get endpoints(): number {
    return this.#options.endpoints.length
  }

  /** Which endpoint requests go to: a number that grows with each rotation. */
  get at(): number {
    return this.#at
  }

  get name(): string {
    const { host, port } = this.#endpoint()
    return `${host}:${port}`
  }

  get names(): string {
    return this.#options.endpoints.map(({ host, port }) => `${host}:${port}`).join(', ')
  }

  /** Leaves the endpoint that failed, unless somebody else has left it. Pooled connections to it are as dead as it is. */
  rotate(from: number): void {
    if (from !== this.#at) return
    this.#at++
    this.#token = null
    for (const sockets of Object.values(this.#agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }

  async call(path: string, body: object, timeoutMs: number, signal?: AbortSignal): Promise<Record<string, unknown>> {
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await this.#send(path, body, await this.#authorization(path, timeoutMs), timeoutMs, signal)
        return await readJson(response)
      } catch (error) {
        // The request was not carried out.
        const forgotten = error instanceof EtcdError && error.failure === 'refused' && tokenForgotten(error)
        if (!forgotten || this.#options.credentials === null || attempt > 1) throw error
        this.#token = null
      }
    }
  }

  /** The next request asks for a new one: of a watch etcd does not always say that its token is not known any more. */
  forgetToken(): void {
    this.#token = null
  }

  /** Messages of a streamed answer as they come; returns when etcd ends it. `timeoutMs` is for the answer to begin. */
  async *stream(path: string, body: object, timeoutMs: number, signal: AbortSignal): AsyncGenerator<Record<string, unknown>> {
    const response = await this.#send(path, body, await this.#authorization(path, timeoutMs), timeoutMs, signal)
    // etcd ends a watch of a member that has lost its quorum only if asked to (see `#send`); the kernel finds a peer that is gone.
    response.socket.setKeepAlive(true, 2_000)
    response.setEncoding('utf8')
    let rest = ''
    try {
      for await (const chunk of response) {
        rest += String(chunk)
        for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
          const line = rest.slice(0, end)
          rest = rest.slice(end + 1)
          if (line.trim() !== '') yield unwrap(parse(line))
        }
      }
      if (rest.trim() !== '') yield unwrap(parse(rest))
    } catch (error) {
      throw error instanceof EtcdError ? error : new EtcdError('lost', `the answer broke off: ${textOf(error)}`, 0, error)
    } finally {
      response.destroy()
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  #endpoint(): { host: string; port: number } {
    const { endpoints } = this.#options
    return endpoints[this.#at % endpoints.length] ?? { host: '', port: 0 }
  }

  async #authorization(path: string, timeoutMs: number): Promise<string | null> {
    const { credentials } = this.#options
    if (credentials === null || path === '/v3/auth/authenticate') return null
    if (this.#token === null) {
      const body = { name: credentials.user, password: credentials.password }
      let answer: Record<string, unknown>
      try {
        answer = await readJson(await this.#send('/v3/auth/authenticate', body, null, timeoutMs))
      } catch (error) {
        // Whatever became of it: the request that it was for was not sent.
        if (error instanceof EtcdError && error.failure === 'lost') throw new EtcdError('notDone', error.message, error.code, error)
        throw error
      }
      this.#token = String(answer['token'])
    }
    return this.#token
  }

  #send(path: string, body: object, token: string | null, timeoutMs: number, signal?: AbortSignal): Promise<IncomingMessage> {
    const { host, port } = this.#endpoint()
    const text = JSON.stringify(body)
    return new Promise((resolve, reject) => {
      let sent = false
      const request = (this.#options.tls === null ? http : https).request({
        host,
        port,
        path,
        method: 'POST',
        agent: this.#agent,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
          // A member cut off from the others must say so, and not just keep silent.
          'grpc-metadata-hasleader': 'true',
          ...(token === null ? {} : { authorization: token }),
        },
      })
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
      const onAbort = (): void => void request.destroy(new Error('aborted'))
      signal?.addEventListener('abort', onAbort, { once: true })
      const settle = (): void => clearTimeout(timer)
      request.on('close', () => signal?.removeEventListener('abort', onAbort))
      request.on('socket', (socket) => {
        const secure = this.#options.tls !== null
        // A connection of the pool is ready; bytes may be on their way from here on.
        if (!socket.connecting && (!secure || request.reusedSocket)) sent = true
        else socket.once(secure ? 'secureConnect' : 'connect', () => (sent = true))
      })
      request.on('response', (response) => {
        // The body counts too: `readJson` is cut by the same deadline.
        response.once('end', settle)
        response.once('close', settle)
        if (path === '/v3/watch') settle()
        resolve(response)
      })
      request.on('error', (error) => {
        settle()
        // Once the answer has begun its reader meets this instead.
        reject(new EtcdError(sent ? 'lost' : 'notDone', `${host}:${port}: ${textOf(error)}`, 0, error))
      })
      if (signal?.aborted === true) onAbort()
      request.end(text)
    })
  }
}

async function readJson(response: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = []
  try {
    for await (const part of response) parts.push(part as Buffer)
  } catch (error) {
    throw new EtcdError('lost', `the answer broke off: ${textOf(error)}`, 0, error)
  }
  const text = Buffer.concat(parts).toString('utf8')
  if (response.statusCode === 200) return unwrap(parse(text))
  throw errorOf(text, response.statusCode ?? 0)
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (value !== null && typeof value === 'object') return value as Record<string, unknown>
  } catch {
    // Not JSON: below.
  }
  throw new EtcdError('lost', `the answer is not etcd's: ${text.slice(0, 200)}`)
}

/** Streamed answers are wrapped: `{"result": …}` or `{"error": {"grpc_code": …}}`. */
function unwrap(answer: Record<string, unknown>): Record<string, unknown> {
  const { result, error } = answer
  if (error !== undefined) throw errorOf(JSON.stringify(error), 0)
  return result !== null && typeof result === 'object' ? (result as Record<string, unknown>) : answer
}

function errorOf(text: string, status: number): EtcdError {
  let code = 0
  let message = text.slice(0, 300)
  try {
    const told = JSON.parse(text) as { code?: number; grpc_code?: number; message?: string; error?: string }
    code = told.code ?? told.grpc_code ?? 0
    message = told.message ?? told.error ?? message
  } catch {
    message = `HTTP ${status}: ${message}`
  }
  // Unavailable, time-outs and what is not etcd's own: it may have been proposed.
  const open = code === grpc.unavailable || code === 0 || code === 1 || code === 2 || code === 4
  const failure = neverProposed.test(message) ? 'notDone' : open && !/lease not found/.test(message) ? 'lost' : 'refused'
  return new EtcdError(failure, message, code)
}

/** It restarted, the token's time is over, or accounts were changed since it was given. */
function tokenForgotten(error: EtcdError): boolean {
  return error.code === grpc.unauthenticated || /auth store is old|invalid auth token/.test(error.message)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
