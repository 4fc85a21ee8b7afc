
// LoRa Alliance TS013, Payload Codec API.

function answer(work) {
  try {
    return work();
  } catch (error) {
    return { errors: [error.refused || String(error)] };
  }
}

function decodeUplink(input) {
  return answer(function () { return { data: decodeReport(input.bytes, input.fPort) }; });
}

function decodeDownlink(input) {
  return answer(function () { return { data: decodeReport(input.bytes, input.fPort) }; });
}

function encodeDownlink(input) {
  return answer(function () { return { bytes: encodeCommand(input.data, @COMMAND@), fPort: @COMMAND@ }; });
}
