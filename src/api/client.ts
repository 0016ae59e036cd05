import { SwError } from '../base/errors.ts'
import { endpoints } from './endpoints.ts'
import type { EndpointName, Params, RequestBody, ResponseOf } from './endpoints.ts'
import { apiErrors } from './errors.ts'
import { ErrorView } from './schemas.ts'

export type ClientOptions = {
  /** e.g. `http://127.0.0.1:15000` */
  readonly baseUrl: string
  readonly token?: string
  /** No single request takes longer: long work is an action that is asked after. */
  readonly timeoutMs?: number
}

/** The typed client of the control API. Errors are SwErrors: control's own by their code, else SW-API-001 and 005. */
export class ApiClient {
  readonly baseUrl: string
  readonly #token: string | undefined
  readonly #timeoutMs: number

  constructor(options: ClientOptions) {
    this.baseUrl = options.baseUrl.replace(/\/$/, '')
    this.#token = options.token
    this.#timeoutMs = options.timeoutMs ?? 60_000
  }

  async call<N extends EndpointName>(name: N, params: Params = {}, body?: RequestBody<N>): Promise<ResponseOf<N>> {
    const endpoint = endpoints[name]
    const url = this.baseUrl + fillPath(endpoint.path, params)
    let response: Response
    try {
      response = await fetch(url, {
        method: endpoint.method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(this.#timeoutMs),
      })
    } catch (error) {
      throw apiErrors.noAnswer({ url: this.baseUrl, reason: reasonOf(error) }, error)
    }
    const text = await response.text()
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch (error) {
      throw apiErrors.badAnswer({ url, problems: `status ${response.status}, not JSON` }, error)
    }
    if (!response.ok) throw errorOf(parsed, url, response.status)
    const result = endpoint.response.safeParse(parsed)
    if (!result.success)
      throw apiErrors.badAnswer({ url, problems: result.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ') })
    return result.data as ResponseOf<N>
  }
}

function fillPath(path: string, params: Params): string {
  return path.replace(/:(\w+)/g, (_, key: string) => encodeURIComponent(params[key] ?? ''))
}

function reasonOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'no answer in time'
  const cause = error instanceof Error ? error.cause : undefined
  if (cause instanceof Error && 'code' in cause) return String(cause.code)
  return error instanceof Error ? error.message : String(error)
}

function errorOf(body: unknown, url: string, status: number): SwError {
  const parsed = ErrorView.safeParse((body as { error?: unknown } | null)?.error)
  if (!parsed.success) return apiErrors.badAnswer({ url, problems: `status ${status} without an error of ours` })
  const view = parsed.data
  return new SwError(view.code, { number: 0, class: view.class, what: view.what, why: view.why, fix: view.fix }, {})
}
