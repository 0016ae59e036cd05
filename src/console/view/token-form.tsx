import { useState } from 'preact/hooks'

/** Control was started with a token, and asks for it. */
export function TokenForm({ onToken }: { onToken: (token: string) => void }) {
  const [text, setText] = useState('')
  return (
    <main class="token-form">
      <h1>Shardwright</h1>
      <p>This control asks for its token. It stays in this tab and is forgotten with it.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (text.trim() !== '') onToken(text.trim())
        }}
      >
        <label>
          token <input type="password" autocomplete="off" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <button type="submit">show the page</button>
      </form>
    </main>
  )
}
