
// Orange Live Objects: `encoded` is hex, what is returned is JSON as text.
var decode = function (encoded, dataMessage) {
  try {
    var bytes = [], n;
    if (!/^([0-9a-fA-F]{2})*$/.test(encoded)) { throw { refused: "the payload is no hex" }; }
    for (n = 0; n < encoded.length; n += 2) { bytes.push(parseInt(encoded.substr(n, 2), 16)); }
    return JSON.stringify(decodeReport(bytes, Number(dataMessage.metadata.network.lora.port)));
  } catch (error) {
    return JSON.stringify({ error: error.refused || String(error) });
  }
};
