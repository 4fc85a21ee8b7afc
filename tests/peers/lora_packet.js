// npm lora-packet as a service: one JSON request a line on stdin, one JSON answer a line on stdout. Bytes are hex.
//
// It is an implementation of its own (anthonykirby/lora-packet); nothing here computes, it only passes on. Counters have
// 32 bits; lora-packet wants their upper half by itself, least significant byte first.
"use strict";

const lora = require("lora-packet");

const hex = (buffer) => Buffer.from(buffer).toString("hex");
const bytes = (text) => Buffer.from(text, "hex");
const upper = (count) => Buffer.from([(count >>> 16) & 0xff, count >>> 24]);

const operations = {
  build(ask) {
    const packet = lora.fromFields(
      {
        MType: ask.kind >> 5,
        DevAddr: bytes(ask.address),
        FCtrl: {
          ADR: Boolean(ask.control & 0x80),
          ADRACKReq: Boolean(ask.control & 0x40),
          ACK: Boolean(ask.control & 0x20),
          FPending: Boolean(ask.control & 0x10),
        },
        FCnt: ask.count & 0xffff,
        FOpts: bytes(ask.options),
        FPort: ask.port === null ? undefined : ask.port,
        payload: ask.port === null ? Buffer.alloc(0) : bytes(ask.payload),
      },
      bytes(ask.application),
      bytes(ask.network),
      undefined,
      upper(ask.count)
    );
    // Without a port it computes no code by itself.
    if (ask.port === null) lora.recalculateMIC(packet, bytes(ask.network), undefined, upper(ask.count));
    return hex(packet.PHYPayload);
  },

  open(ask) {
    const packet = lora.fromWire(bytes(ask.frame));
    if (!packet.isDataMessage()) return null;
    if (packet.getFCnt() !== (ask.count & 0xffff)) return null;
    if (!lora.verifyMIC(packet, bytes(ask.network), undefined, upper(ask.count))) return null;
    const port = packet.getFPort();
    const plain =
      packet.FRMPayload && packet.FRMPayload.length
        ? lora.decrypt(packet, bytes(ask.application), bytes(ask.network), upper(ask.count))
        : Buffer.alloc(0);
    const bit = (set, value) => (set ? value : 0);
    return {
      down: packet.getDir() === "down",
      confirmed: packet.isConfirmed(),
      address: hex(packet.DevAddr),
      control:
        bit(packet.getFCtrlADR(), 0x80) |
        bit(packet.getFCtrlADRACKReq(), 0x40) |
        bit(packet.getFCtrlACK(), 0x20) |
        bit(packet.getFCtrlFPending(), 0x10),
      options: hex(packet.FOpts),
      port: port,
      payload: hex(plain),
    };
  },

  request(ask) {
    const packet = lora.fromWire(bytes(ask.frame));
    if (!packet.isJoinRequestMessage() || !lora.verifyMIC(packet, undefined, bytes(ask.key))) return null;
    return { join_eui: hex(packet.AppEUI), dev_eui: hex(packet.DevEUI), nonce: packet.DevNonce.readUInt16BE(0) };
  },

  accept(ask) {
    const packet = lora.fromFields(
      {
        MType: "Join Accept",
        AppNonce: bytes(ask.join_nonce),
        NetID: bytes(ask.net_id),
        DevAddr: bytes(ask.address),
        DLSettings: ask.settings,
        RxDelay: ask.delay,
        CFList: bytes(ask.channels),
      },
      undefined,
      undefined,
      bytes(ask.key)
    );
    return hex(packet.MHDR) + hex(packet.MACPayloadWithMIC);
  },

  keys(ask) {
    const made = lora.generateSessionKeys10(
      bytes(ask.key),
      bytes(ask.net_id),
      bytes(ask.join_nonce),
      bytes(ask.nonce)
    );
    return [hex(made.NwkSKey), hex(made.AppSKey)];
  },
};

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const ask = JSON.parse(line);
    let answer;
    try {
      answer = operations[ask.do](ask);
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  });
