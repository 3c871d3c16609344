"""Asks a transmission-daemon for all torrents as other clients do, and counts the bytes of its replies.

Run inside the lab:  python3 ask.py URL CLIENT TIMES   prints the reply's bytes, plain and as gzip would send them.
"""

import json
import sys
import urllib.error
import urllib.request
import zlib

#: What Flood asks for every 2 s while someone looks, fetchTorrentList in its clientGatewayService.ts.
FLOOD = """hashString downloadDir name haveValid addedDate dateCreated rateDownload rateUpload downloadedEver
uploadedEver eta isPrivate error errorString peersGettingFromUs peersSendingToUs status totalSize trackers
labels""".split()
#: What TrguiNG asks for every 5 s, TorrentFields in its src/rpc/transmission.ts.
TRGUING = """activityDate addedDate bandwidthPriority corruptEver dateCreated desiredAvailable doneDate downloadDir
downloadedEver downloadLimit downloadLimited editDate error errorString eta etaIdle file-count group haveUnchecked
haveValid honorsSessionLimits id isFinished isPrivate isStalled labels leftUntilDone manualAnnounceTime
maxConnectedPeers metadataPercentComplete name peer-limit peersConnected peersGettingFromUs peersSendingToUs
percentComplete percentDone pieceCount pieceSize queuePosition rateDownload rateUpload recheckProgress
secondsDownloading secondsSeeding seedIdleLimit seedIdleMode seedRatioLimit seedRatioMode sizeWhenDone startDate
status totalSize torrentFile trackerStats uploadedEver uploadLimit uploadLimited uploadRatio
webseedsSendingToUs""".split()
CLIENTS = {"Flood": FLOOD, "TrguiNG": TRGUING}


def main():
    """Makes the requests one after the other."""
    url, client, times = sys.argv[1:]
    body = json.dumps({"method": "torrent-get", "arguments": {"fields": CLIENTS[client]}}).encode()
    headers = {}
    reply = b""
    for _ in range(int(times)):
        try:
            reply = ask(url, body, headers)
        except urllib.error.HTTPError as error:
            headers["X-Transmission-Session-Id"] = error.headers["X-Transmission-Session-Id"]
            reply = ask(url, body, headers)
    print(len(reply), len(zlib.compress(reply)))


def ask(url, body, headers):
    """One request's reply."""
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
        return answer.read()


if __name__ == "__main__":
    main()
