/** What {@link workflowState} gives: functions, as Temporal freezes what shared modules export, and reads every property for it. */
export interface WorkflowState<Value> {
  get(): Value;
  set(value: Value): void;
}

/**
 * A value of which each workflow has its own. A variable of a module would be one for all of them, as workers load the modules of this
 * package once (`preloadModules`); what Temporal's sandbox keeps apart are globals.
 */
export function workflowState<Value>(name: string, initial: () => Value): WorkflowState<Value> {
  const key = Symbol.for(`cadenza.${name}`);
  const globals = globalThis as unknown as Record<symbol, Value>;
  return {
    get: () => (globals[key] ??= initial()),
    set(value) {
      globals[key] = value;
    },
  };
}
