/** Gateway options of a command, from the table that defines them. */
import type { Command } from 'commander'
import { helpText, OPTION_NAMES, OPTIONS, type OptionDefinition, type OptionName } from '../../config/option-table.ts'

export function withOptions(command: Command, names: readonly OptionName[]): Command {
  for (const name of names) {
    const { flag, repeatable }: OptionDefinition = OPTIONS[name]
    if (repeatable === true) command.option(flag, helpText(name), collect)
    else command.option(flag, helpText(name))
  }
  return command
}

/** All options of a gateway in the foreground. */
export function withUpOptions(command: Command): Command {
  return withOptions(command, OPTION_NAMES)
}

/** A command that changes the running gateway, or starts one: its own options come first in its help. */
export function withStartOptions(command: Command): Command {
  return withUpOptions(command.optionsGroup('If no gateway is running, one is started with:'))
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
