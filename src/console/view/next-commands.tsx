import { useRef, useState } from 'preact/hooks'

/** What makes sense now, ready to be copied. */
export function NextCommands({ commands }: { commands: readonly string[] }) {
  if (commands.length === 0) return null
  return (
    <section class="part">
      <h4>next</h4>
      <ul class="commands">
        {commands.map((command) => (
          <Command key={command} command={command} />
        ))}
      </ul>
    </section>
  )
}

function Command({ command }: { command: string }) {
  const code = useRef<HTMLElement>(null)
  const [said, setSaid] = useState('copy')
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(command)
      setSaid('copied')
    } catch {
      // Only a page from this machine or over TLS may write to the clipboard: elsewhere the text is marked, to copy by hand.
      if (code.current !== null) getSelection()?.selectAllChildren(code.current)
      setSaid('marked')
    }
    window.setTimeout(() => setSaid('copy'), 1500)
  }
  return (
    <li>
      <code ref={code}>{command}</code>
      <button type="button" aria-label={`copy: ${command}`} onClick={() => void copy()}>
        {said}
      </button>
    </li>
  )
}
