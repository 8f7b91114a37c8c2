import { getExternalWorkflowHandle, setHandler, workflowInfo } from '@temporalio/workflow';
import { failure } from '../../protocol/failures.ts';
import { meets, rulesProblem, type PolicyChange, type PolicyRule } from '../../protocol/policy.ts';
import { names, type TreePlace } from '../../protocol/protocol.ts';
import type { RulesState } from '../../protocol/run-state.ts';
import { changePolicySignal, changePolicyUpdate, inheritPolicySignal, policyQuery } from '../messages.ts';

/**
 * The rules of a run about tool calls: its own, the newest first, before those of the run above. They hold for the runs below as well,
 * which are told of every change; as with pauses, a run numbers its changes, and the highest number counts.
 */
export class Rules {
  private own: PolicyRule[];
  private inherited: PolicyRule[];
  /** The number of the parent's last change. */
  private heard: number;
  /** The number of the last change, here or above. */
  private epoch: number;
  private readonly children = new Set<string>();
  private readonly tree: TreePlace | undefined;
  private readonly changed: (affects: (agent: string, tool: string, digest: string) => boolean) => void;

  constructor(
    tree: TreePlace | undefined,
    changed: Rules['changed'],
    state: RulesState = { own: [], inherited: [], heard: 0, epoch: 0 },
  ) {
    const problem = rulesProblem(state.own) ?? rulesProblem(state.inherited);
    if (problem !== undefined) throw failure('InvalidInput', `the policy of the start: ${problem}`);
    this.tree = tree;
    this.changed = changed;
    this.own = [...state.own];
    this.inherited = [...state.inherited];
    this.heard = state.heard;
    this.epoch = state.epoch;
  }

  /** Takes changes from now on, and at once those that came before. */
  open(): void {
    setHandler(
      changePolicyUpdate,
      (change) => {
        this.change(change);
        return this.all;
      },
      {
        validator: (change) => {
          const problem = this.problemOf(change);
          if (problem !== undefined) throw failure('PolicyRefused', `the change was refused: ${problem}`);
        },
      },
    );
    setHandler(changePolicySignal, (change) => {
      if (this.problemOf(change) === undefined) this.change(change);
    });
    setHandler(inheritPolicySignal, (said) => {
      if (typeof said?.epoch !== 'number' || said.epoch <= this.heard) return;
      if (rulesProblem(said.rules) !== undefined) return;
      this.heard = said.epoch;
      const before = this.all;
      this.inherited = said.rules;
      this.tellOf(before);
    });
    setHandler(policyQuery, () => this.all);
  }

  /** Every rule that counts in this run, the first that meets a call before the others. */
  get all(): PolicyRule[] {
    const own = new Set(this.own.map(({ id }) => id));
    return [...this.own, ...this.inherited.filter(({ id }) => !own.has(id))];
  }

  /** For the input of an activity: nothing, where there is no rule. */
  get asInput(): { policy?: PolicyRule[] } {
    const rules = this.all;
    return rules.length > 0 ? { policy: rules } : {};
  }

  /** What a child that begins now is told; nothing, where there was never a rule. */
  get forChild(): { policy?: RulesState } {
    if (this.epoch === 0 && this.all.length === 0) return {};
    return { policy: { own: [], inherited: this.all, heard: this.epoch, epoch: 0 } };
  }

  /** What a run that continues this one goes on with. */
  get carried(): { policy?: RulesState } {
    const { own, inherited, heard, epoch } = this;
    return epoch > 0 || own.length > 0 || inherited.length > 0
      ? { policy: { own, inherited, heard, epoch } }
      : {};
  }

  /** A person has decided on a call and does not want to be asked again, here or elsewhere in the tree. */
  remember(rule: PolicyRule): void {
    if (this.problemOf({ add: [rule] }) !== undefined) return;
    this.change({ add: [rule] });
    if (this.tree && this.tree.root !== workflowInfo().workflowId) void this.signal(this.tree.root, rule);
  }

  /** A child has started: it is told whatever has changed since it was given its start, and what changes while it runs. */
  adopt(child: string, knows: number): void {
    this.children.add(child);
    if (knows < this.epoch) void this.tell(child);
  }

  release(child: string): void {
    this.children.delete(child);
  }

  private problemOf(change: Partial<PolicyChange> | null | undefined): string | undefined {
    if (typeof change !== 'object' || change === null) return 'it must be an object';
    const { add = [], remove = [] } = change;
    if (!Array.isArray(remove)) return '`remove` must be a list of ids';
    return rulesProblem(add) ?? rulesProblem(this.after({ add, remove }));
  }

  private after({ add = [], remove = [], by }: PolicyChange): PolicyRule[] {
    const gone = new Set([...remove, ...add.map(({ id }) => id)]);
    const added = by === undefined ? add : add.map((rule) => ({ by, ...rule }));
    return [...added, ...this.own.filter(({ id }) => !gone.has(id))];
  }

  private change(change: PolicyChange): void {
    const before = this.all;
    this.own = this.after(change);
    const gone = new Set(change.remove);
    this.inherited = this.inherited.filter(({ id }) => !gone.has(id));
    this.tellOf(before);
  }

  private tellOf(before: readonly PolicyRule[]): void {
    const after = this.all;
    const news = [
      ...after.filter((rule) => !before.includes(rule) && rule.verdict !== 'ask'),
      ...before.filter((rule) => !after.includes(rule) && rule.verdict !== 'allow'),
    ];
    this.epoch += 1;
    for (const child of this.children) void this.tell(child);
    this.changed((agent, tool, digest) =>
      news.some(({ effect: _unknown, ...rule }) => meets(rule, { agent, tool, digest })),
    );
  }

  private async tell(child: string): Promise<void> {
    const { epoch, all } = this;
    try {
      await getExternalWorkflowHandle(child).signal(inheritPolicySignal, { rules: all, epoch });
    } catch {
      // A child that has ended needs no telling.
    }
  }

  private async signal(root: string, rule: PolicyRule): Promise<void> {
    try {
      await getExternalWorkflowHandle(root).signal(names.changePolicy, { add: [rule] });
    } catch {
      // A root that has ended has nobody else to tell; here the rule counts.
    }
  }
}
