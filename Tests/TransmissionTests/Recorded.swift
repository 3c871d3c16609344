/// Answers as Transmission 3.00, 4.0 and 4.1 write them, those of 4.0 to the letter.

import Notation
import Testing

enum Recorded {
    static let onion = "380f820b9197c4c940c6a2c8b377b67026a47471"
    static let plain = "c4038515d2886f91f7837cd07dbec81f953482af"

    /// 3.00: unknown names are 0 (`file-count`), names beyond the basic plane have five digits, no booleans in `wanted`.
    static let table300 = #"""
        {"arguments":{"removed":[9],"torrents":[["hashString","id","name","status","percentDone","leftUntilDone",
        "rateDownload","uploadRatio","labels","downloadLimit","isPrivate","trackers","file-count","no-such-field"],
        ["380f820b9197c4c940c6a2c8b377b67026a47471",2,"\u1f9c5 onion",4,0.25008,30000,1234,-1,["a"],100,false,
        [{"announce":"http://user:key@tracker.example:6969/announce?passkey=secret","id":0,"scrape":"","tier":0},
        {"announce":"udp://[2001:db8::1]:80","id":1,"scrape":"","tier":1}],0,0],
        ["c4038515d2886f91f7837cd07dbec81f953482af",1,"plain",0,1,0,0,1.99999,[],50,false,[],0,0]]},"result":"success"}
        """#

    // 4.0.6's own, of two stopped torrents, with the addresses of a tracker that has an account and a passkey; unknown names
    // are left out, and all that the agent asks for is known.

    static let table406 = #"""
        {"arguments":{"torrents":[["hashString","id","status","percentDone","recheckProgress",
        "metadataPercentComplete","sizeWhenDone","leftUntilDone","rateDownload","rateUpload","downloadedEver",
        "uploadedEver","uploadRatio","eta","peersConnected","peersSendingToUs","peersGettingFromUs","error",
        "errorString","activityDate","queuePosition","isFinished","isStalled","name","labels","downloadDir",
        "addedDate","doneDate","totalSize","isPrivate","bandwidthPriority","downloadLimited","downloadLimit",
        "uploadLimited","uploadLimit","honorsSessionLimits","seedRatioMode","seedRatioLimit","seedIdleMode",
        "seedIdleLimit","peer-limit","trackers","comment","file-count"],["f53d8f26b31e40b5f3bf59834130628a3ea6bfbe",1,
        0,0,0,1,120000,120000,0,0,0,0,0,-1,0,0,0,0,"",0,0,false,true,"🧅 onion",["a"],"/srv/dl",1796006810,0,120000,
        false,0,false,500,false,100,true,0,2,0,30,50,
        [{"announce":"http://user:key@tracker.example:6969/announce?passkey=secret","id":0,
        "scrape":"http://user:key@tracker.example:6969/scrape?passkey=secret","sitename":"user:key@tracker","tier":0},
        {"announce":"udp://[2001:db8::1]:80","id":1,"scrape":"udp://[2001:db8::1]:80","sitename":"2001:db8::1",
        "tier":1}],"",3],["41feb22d79dbf195732cd5dc983b12c9b7034142",2,0,0,0,1,40000,40000,0,0,0,0,0,-1,0,0,0,0,"",0,
        1,false,true,"plain",[],"/srv/dl",1796006810,0,40000,true,0,false,500,false,100,true,0,2,0,30,50,[],"",1]]},
        "result":"success","tag":7}
        """#

    static let recent406 = #"""
        {"arguments":{"removed":[1],"torrents":[["hashString","id"],["41feb22d79dbf195732cd5dc983b12c9b7034142",2]]},
        "result":"success"}
        """#

    static let session406 = #"""
        {"arguments":{"alt-speed-down":50,"alt-speed-enabled":false,"alt-speed-time-begin":540,
        "alt-speed-time-day":127,"alt-speed-time-enabled":false,"alt-speed-time-end":1020,"alt-speed-up":50,
        "anti-brute-force-enabled":false,"anti-brute-force-threshold":100,"blocklist-enabled":false,
        "blocklist-size":0,"blocklist-url":"http://user:pw@example/list","cache-size-mb":4,"config-dir":"/srv/config",
        "default-trackers":"","dht-enabled":false,"download-dir":"/srv/dl","download-dir-free-space":63361302528,
        "download-queue-enabled":true,"download-queue-size":5,"encryption":"preferred","idle-seeding-limit":30,
        "idle-seeding-limit-enabled":false,"incomplete-dir":"/srv/incomplete","incomplete-dir-enabled":false,
        "lpd-enabled":false,"peer-limit-global":200,"peer-limit-per-torrent":50,"peer-port":51999,
        "peer-port-random-on-start":false,"pex-enabled":false,"port-forwarding-enabled":false,
        "queue-stalled-enabled":true,"queue-stalled-minutes":30,"rename-partial-files":false,"rpc-version":17,
        "rpc-version-minimum":14,"rpc-version-semver":"5.3.0","script-torrent-added-enabled":false,
        "script-torrent-added-filename":"","script-torrent-done-enabled":false,
        "script-torrent-done-filename":"/srv/secret","script-torrent-done-seeding-enabled":false,
        "script-torrent-done-seeding-filename":"","seed-queue-enabled":false,"seed-queue-size":10,"seedRatioLimit":2,
        "seedRatioLimited":false,"session-id":"3A15xSlwuVQKVWzVo7jriK5TINfSNPtdwcu35v36thzWWr25",
        "speed-limit-down":500,"speed-limit-down-enabled":true,"speed-limit-up":100,"speed-limit-up-enabled":false,
        "start-added-torrents":false,"tcp-enabled":true,"trash-original-torrent-files":false,
        "units":{"memory-bytes":1024,"memory-units":["KiB","MiB","GiB","TiB"],"size-bytes":1000,"size-units":["kB",
        "MB","GB","TB"],"speed-bytes":1000,"speed-units":["kB/s","MB/s","GB/s","TB/s"]},"utp-enabled":false,
        "version":"4.0.6 (0)"},"result":"success"}
        """#

    static let statistics406 = #"""
        {"arguments":{"activeTorrentCount":0,"cumulative-stats":{"downloadedBytes":0,"filesAdded":0,"secondsActive":2,
        "sessionCount":1,"uploadedBytes":0},"current-stats":{"downloadedBytes":0,"filesAdded":0,"secondsActive":2,
        "sessionCount":1,"uploadedBytes":0},"downloadSpeed":0,"pausedTorrentCount":2,"torrentCount":2,
        "uploadSpeed":0},"result":"success"}
        """#

    static let refusal406 = #"""
        {"arguments":{"path":"/no/such","size-bytes":-1,"total_size":-1},"result":"No such file or directory"}
        """#

    /// 4.1 over JSON-RPC: snake_case names, `removed` beside the torrents, another order of columns.
    static let table41 = #"""
        {"id":1,"jsonrpc":"2.0","result":{"removed":[9],"torrents":[["id","hash_string","name","status","percent_done",
        "left_until_done","rate_download","upload_ratio","labels","download_limit","is_private","trackers","file_count"],
        [2,"380f820b9197c4c940c6a2c8b377b67026a47471","🧅 onion",4,0.25008,30000,1234,-1,["a"],100,false,
        [{"announce":"http://user:key@tracker.example:6969/announce?passkey=secret","id":0,"scrape":"",
        "sitename":"example","tier":0},{"announce":"udp://[2001:db8::1]:80","id":1,"scrape":"","sitename":"","tier":1}],3],
        [1,"c4038515d2886f91f7837cd07dbec81f953482af","plain",0,1,0,0,1.99999,[],50,false,[],1]]}}
        """#

    static let session300 = #"""
        {"arguments":{"alt-speed-down":50,"alt-speed-enabled":false,"blocklist-url":"http://user:pw@example/list",
        "download-dir":"/srv/dl","encryption":"preferred","peer-port":51413,"rpc-version":16,"rpc-version-minimum":1,
        "script-torrent-done-filename":"/srv/secret","session-id":"EZ2VtHZ","speed-limit-down":500,
        "speed-limit-down-enabled":true,"version":"3.00 (bb6b5a062e)"},"result":"success"}
        """#

    static let session41 = #"""
        {"id":1,"jsonrpc":"2.0","result":{"alt_speed_down":50,"alt_speed_enabled":false,"download_dir":"/srv/dl",
        "encryption":"preferred","peer_port":51413,"rpc_version":18,"rpc_version_minimum":14,"rpc_version_semver":"6.0.0",
        "session_id":"EZ2VtHZ","speed_limit_down":500,"speed_limit_down_enabled":true,"version":"4.1.0 (abcdef)"}}
        """#

    static let refusal41 = #"""
        {"id":1,"jsonrpc":"2.0","error":{"code":7,"data":{"error_string":"download directory path is not absolute"},
        "message":"Invalid argument"}}
        """#

    static func value(_ text: String) throws -> Value { try JSON.decode(text, lenient: true) }
}
