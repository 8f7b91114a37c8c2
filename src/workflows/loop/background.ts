import {
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
} from '@temporalio/workflow';
import type { Json, Since, UserMessage } from '../../protocol/protocol.ts';
import { messageSignal } from '../messages.ts';

/** Tasks under way at once; their ends, arriving during one slow workflow task, stay within what the server buffers. */
const mostTasks = 32;

/** An agent that works while the one that asked it goes on. */
interface Task {
  readonly agent: string;
  readonly scope: CancellationScope;
  /** Known once the child has started. */
  workflowId?: string;
}

/** How a task is run: it says under which id, and comes back when the run below has ended. */
export type TaskRunner = (started: (workflowId: string) => void) => Promise<unknown>;

/** The agents that work in the background for a run, and what became of those that the model has not heard of yet. */
export class Background {
  private readonly tasks = new Map<string, Task>();
  private ended: Since[] = [];
  private count = 0;

  /** Whether a task is under way, or the model has yet to hear what became of one. */
  get busy(): boolean {
    return this.tasks.size > 0 || this.ended.length > 0;
  }

  /** Whether the model has yet to hear what became of a task. */
  get hasNews(): boolean {
    return this.ended.length > 0;
  }

  /** Ids of the tasks under way. */
  get open(): string[] {
    return [...this.tasks.keys()];
  }

  /** What has ended since the last turn, in that order. */
  take(): Since[] {
    return this.ended.splice(0);
  }

  /** Begins a task, named by the call that asked for it, and answers the call at once. */
  start(position: string, agent: string, run: TaskRunner, explain: (thrown: unknown) => string): Since {
    if (this.tasks.size >= mostTasks)
      return {
        failed: position,
        why: `Not executed: ${mostTasks} tasks are under way. Wait for one to end.`,
      };
    const task: Task = { agent, scope: new CancellationScope() };
    this.tasks.set(position, task);
    void task.scope
      .run(() => run((workflowId) => (task.workflowId = workflowId)))
      .then(
        (): Since => ({ task: position, agent }),
        (thrown: unknown): Since => ({ taskFailed: position, agent, why: explain(thrown) }),
      )
      .then((end) => {
        this.tasks.delete(position);
        this.ended.push(end);
        this.count += 1;
      });
    return { noted: position, text: startedText(position) };
  }

  /** Does what the model wants of a task, and answers the call. */
  async command(
    position: string,
    what: 'message' | 'cancel',
    input: Json,
    messageId: string,
  ): Promise<Since> {
    const { task: id, text = '' } = input as { task: string; text?: string };
    const task = this.tasks.get(id);
    if (!task) {
      const others = this.open.length > 0 ? `Under way: ${this.open.join(', ')}.` : 'None is under way.';
      return { failed: position, why: `There is no task "${id.slice(0, 100)}" under way. ${others}` };
    }
    if (what === 'cancel') {
      task.scope.cancel();
      return { noted: position, text: `Task ${id} was asked to stop.` };
    }
    await condition(() => task.workflowId !== undefined || !this.tasks.has(id));
    const message: UserMessage = { id: messageId, text };
    try {
      await getExternalWorkflowHandle(task.workflowId ?? '').signal(messageSignal, message);
      return { noted: position, text: `Task ${id} was told.` };
    } catch (thrown) {
      if (isCancellation(thrown) && CancellationScope.current().consideredCancelled) throw thrown;
      return { failed: position, why: `Task ${id} has ended and was not told.` };
    }
  }

  /** Waits until there is something to tell the model, or something else to do. */
  async news(unless: () => boolean): Promise<void> {
    await condition(() => this.hasNews || unless());
  }

  /** Waits for the end of a task; whether there was one to wait for. */
  async oneEnds(): Promise<boolean> {
    if (this.tasks.size === 0) return false;
    const before = this.count;
    await condition(() => this.count > before);
    return true;
  }
}

/** What the model is told of a task that has begun. */
export function startedText(position: string): string {
  return `Started in the background as task "${position}". Go on meanwhile; you will be told when it has ended.`;
}
