// The bed board without its page: stays right through cut connections. For browsers, and for Node 22 and newer.

const TOPICS = "https://fhir-notification-hub.example/topics/";
const FINAL_CODES = [4409, 4410]; // another board has taken over; the Subscriptions have ended: do not come back
const PAUSE_MILLISECONDS = 500;

export class Board {
  // changed: called after every change; said: called with a line of what happens
  constructor(hub, { name = "board", token = "", changed = () => {}, said = () => {} } = {}) {
    Object.assign(this, { hub, token, changed, said });
    this.beds = new Map(); // Encounter id -> { version, bed, patient }; bed is "" when the patient has left
    this.seen = { [`${name}-admissions`]: 0, [`${name}-discharges`]: 0 };
    this.socket = null;
    this.stopped = false;
  }

  get taken() {
    return [...this.beds.values()].filter((each) => each.bed);
  }

  async ask(method, path, resource) {
    const headers = { "Content-Type": "application/fhir+json" };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const answer = await fetch(`${this.hub}/${path}`, { method, headers, body: resource && JSON.stringify(resource) });
    const told = await answer.json();
    if (!answer.ok) throw new Error(`${answer.status}: ${told.issue?.[0]?.diagnostics}`);
    return told;
  }

  async subscribe() {
    for (const id of Object.keys(this.seen)) {
      await this.ask("PUT", `Subscription/${id}`, {
        resourceType: "Subscription", id, status: "requested",
        topic: TOPICS + (id.endsWith("admissions") ? "admission" : "discharge"),
        channelType: { system: "http://terminology.hl7.org/CodeSystem/subscription-channel-type", code: "websocket" },
        content: "full-resource", heartbeatPeriod: 30, maxCount: 50,
      });
    }
  }

  // Stay connected: whenever the socket closes, come back with a new token and the last numbers.
  async connect() {
    if (this.stopped) return;
    try {
      const ids = Object.keys(this.seen).map((id) => `id=${id}`).join("&");
      const told = await this.ask("GET", `Subscription/$get-ws-binding-token?${ids}`);
      const values = Object.fromEntries(told.parameter.map((each) => [each.name, each.valueString ?? each.valueUrl]));
      const socket = (this.socket = new WebSocket(values["websocket-url"]));
      socket.onopen = () => socket.send(JSON.stringify({
        type: "bind-with-token", payload: { token: values.token, lastEventNumber: this.seen },
      }));
      socket.onmessage = (message) => this.take(JSON.parse(message.data));
      socket.onclose = (end) => {
        if (FINAL_CODES.includes(end.code)) this.said(`the hub has ended it: ${end.reason}`);
        else this.again("cut; connecting again");
      };
    } catch (problem) {
      this.again(`${problem.message}; trying again`);
    }
  }

  again(why) {
    if (this.stopped) return;
    this.said(why);
    setTimeout(() => this.connect(), PAUSE_MILLISECONDS);
  }

  stop() {
    this.stopped = true;
    this.socket?.close();
  }

  take(frame) {
    if (frame.resourceType === "OperationOutcome") return this.said(frame.issue[0].diagnostics);
    const status = frame.entry[0].resource;
    const id = status.subscription.reference.split("/").pop();
    if (status.type === "handshake") {
      const count = Number(status.eventsSinceSubscriptionStart);
      return this.said(`${id}: connected; ${count} events so far, ${count - this.seen[id]} of them new here`);
    }
    for (const event of status.notificationEvent ?? []) {
      const number = Number(event.eventNumber);
      if (number !== this.seen[id] + 1) throw new Error(`${id}: event ${number} came after ${this.seen[id]}`);
      this.seen[id] = number;
    }
    for (const entry of frame.entry.slice(1)) this.write(entry.resource);
    return this.changed();
  }

  // The newest version wins: what was missed comes one Subscription after the other.
  write(encounter) {
    const version = Number(encounter.meta.versionId);
    if (version <= (this.beds.get(encounter.id)?.version ?? 0)) return;
    const here = encounter.status === "in-progress";
    const bed = here ? encounter.location[0].location.display : "";
    this.beds.set(encounter.id, { version, bed, patient: encounter.subject.display });
  }
}
